// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// POST /inference/v1/completions (gateway.md 4.5, 4.9; fireworks-sdk-1.2.30.md 15), whole and
// streamed. Client and server use the same functions. THREAD: any.

namespace desk {

inline constexpr std::string_view kCompletionsPath = "/inference/v1/completions";

/// How `logprobs` was asked for: true (structured) or a number (the older lists).
enum class LogprobsForm
{
    None,
    Structured,
    Legacy
};

struct CompletionPrompt
{
    std::string text; ///< unused when tokens is set
    std::optional<std::vector<std::int64_t>> tokens;
    bool operator==(const CompletionPrompt&) const = default;
};

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
    bool isStream = false;
    bool wantsRawOutput = false;
    std::vector<std::int64_t> stopTokens; ///< integers in `stop`
    std::vector<CompletionPrompt> morePrompts; ///< of a list of prompts: the second and later
    LogprobsForm logprobs = LogprobsForm::None;
    int topLogprobs = 0; ///< alternatives per token
    std::optional<std::int64_t> echoLast; ///< echo only the last so many prompt tokens
    bool wantsPerfMetrics = false;
    bool wantsTokenIds = false;
    bool ignoresEos = false;
    bool failsWhenTooLong = false; ///< context_length_exceeded_behavior: error
    bool operator==(const CompletionRequest&) const = default;
};

struct TopLogprob
{
    std::string token;
    std::int64_t tokenId = 0;
    double logprob = 0.0;
    bool operator==(const TopLogprob&) const = default;
};

struct TokenLogprob
{
    std::string token; ///< its bytes as text
    std::string bytes; ///< raw; need not be UTF-8
    std::int64_t tokenId = 0;
    double logprob = 0.0; ///< under the undistorted model
    std::optional<double> samplingLogprob; ///< it was drawn with; nullopt: a token of the prompt
    std::int64_t textOffset = 0; ///< bytes into the text
    std::vector<TopLogprob> top;
    bool operator==(const TokenLogprob&) const = default;
};

struct CompletionChoice
{
    int index = 0;
    std::string text; ///< without the stop word; with the prompt when it was to be echoed
    std::string finishReason; ///< stop | length
    std::vector<std::int64_t> promptTokenIds; ///< of raw_output; empty: not given
    /// Of raw_output; empty: not given. The token that ended the text is one of them. With echo the
    /// echoed prompt tokens come first.
    std::vector<std::int64_t> completionTokenIds;
    LogprobsForm logprobsForm = LogprobsForm::None;
    std::vector<TokenLogprob> logprobs; ///< one per token of completionTokenIds
    /// return_token_ids: on the choice itself.
    std::optional<std::vector<std::int64_t>> tokenIds;
    std::optional<std::vector<std::int64_t>> choicePromptTokenIds;
    /// `completion` of raw_output; empty: the same as text. A stream ends with the whole one.
    std::string rawText;
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
    std::int64_t cachedPromptTokens = 0;
    std::map<std::string, std::string> perfMetrics; ///< gateway.md 4.9; values are numbers as text
    bool operator==(const Completion&) const = default;
};

[[nodiscard]] std::string encodeCompletionRequest(const CompletionRequest& request);
/// Malformed for what cannot be read; Refused for a parameter out of its range or one that this
/// backend would have to ignore although it changes the answer.
[[nodiscard]] Result<CompletionRequest> decodeCompletionRequest(std::string_view body);
[[nodiscard]] std::string encodeCompletion(const Completion& completion);
[[nodiscard]] Result<Completion> decodeCompletion(std::string_view body);

/// One event of a stream, with its empty line: what a part adds to its choice. Parts carry text and
/// logprobs; the last of a choice carries finishReason and raw output; the last of all also usage
/// (promptTokens above 0) and metrics.
[[nodiscard]] std::string encodeCompletionEvent(const Completion& part);
/// `event: error` that a client treats like that HTTP status (fireworks-sdk-1.2.30.md 15.2).
[[nodiscard]] std::string encodeCompletionErrorEvent(int httpStatus, std::string_view message);
inline constexpr std::string_view kCompletionDone = "data: [DONE]\n\n";

/// A whole stream put together: texts and logprobs joined, the last finish reason, raw output,
/// usage and metrics. Malformed for what is no stream or was cut off: a choice without a finish
/// reason, a last event without its empty line, an unreadable event that is no heartbeat. An error
/// event is the error that its status says.
[[nodiscard]] Result<Completion> decodeCompletionStream(std::string_view body);

/// `{"error":{"object":"error","type":…,"code":…,"message":…}}`, what the inference side answers:
/// code is invalid_request_error, NOT_FOUND, DEPLOYMENT_SCALING_UP, …
[[nodiscard]] std::string encodeCompletionError(std::string_view code, std::string_view message);

/// The text after '@' of a completion's model: the snapshot that answered; empty if none.
[[nodiscard]] std::string_view servedSnapshot(std::string_view model) noexcept;

} // namespace desk
