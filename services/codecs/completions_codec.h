// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// POST /inference/v1/completions, not streamed (gateway.md 4.5, 4.9). THREAD: any.

namespace desk {

inline constexpr std::string_view kCompletionsPath = "/inference/v1/completions";

struct CompletionRequest
{
    std::string model; ///< accounts/<account>/deployments/<deployment>
    std::string prompt; ///< text; unused when promptTokens is set
    std::optional<std::vector<std::int64_t>> promptTokens;
    std::int64_t maxTokens = 16;
    double temperature = 1.0;
    double topP = 1.0;
    std::int64_t topK = 0; ///< 0: unlimited
    int n = 1;
    std::optional<std::int64_t> seed;
    std::vector<std::string> stop;
    bool isEcho = false;
    bool isStream = false; ///< decoded so that a server can say what it does not do
    bool wantsRawOutput = false;
    bool operator==(const CompletionRequest&) const = default;
};

struct CompletionChoice
{
    int index = 0;
    std::string text;
    std::string finishReason; ///< stop | length
    std::vector<std::int64_t> promptTokenIds; ///< of raw_output; empty: not given
    std::vector<std::int64_t> completionTokenIds; ///< of raw_output; empty: not given
    bool operator==(const CompletionChoice&) const = default;
};

struct Completion
{
    std::string id;
    std::int64_t created = 0; ///< unix seconds
    std::string model; ///< accounts/…@<snapshot identity> where a hot load is served
    std::vector<CompletionChoice> choices;
    std::int64_t promptTokens = 0;
    std::int64_t completionTokens = 0;
    bool operator==(const Completion&) const = default;
};

[[nodiscard]] std::string encodeCompletionRequest(const CompletionRequest& request);
[[nodiscard]] Result<CompletionRequest> decodeCompletionRequest(std::string_view body);
[[nodiscard]] std::string encodeCompletion(const Completion& completion);
[[nodiscard]] Result<Completion> decodeCompletion(std::string_view body);
/// The text after '@' of a completion's model: the snapshot that answered; empty if none.
[[nodiscard]] std::string_view servedSnapshot(std::string_view model) noexcept;

} // namespace desk
