// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/model_config.h"
#include "services/local/engine/sampling.h"
#include "services/local/engine/tokenizer.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

namespace desk::local {

/// Weights of a Hugging Face folder for answering only: no gradients, no moments. Immutable after
/// open, so replicas of one identity share one object and may generate at the same time.
class InferenceModel
{
public:
    /// Same refusals as Engine::open. The folder is read completely; it may go away afterwards.
    [[nodiscard]] static Result<std::shared_ptr<const InferenceModel>> open(
        const std::filesystem::path& folder);
    /// The model of `base` with the peft adapter of `adapter`; shares the weights of the base, so
    /// many adapters cost little. Refused when the adapter fits another model or is of a kind that
    /// cannot be run (DoRA, rsLoRA, bias, other matrices).
    [[nodiscard]] static Result<std::shared_ptr<const InferenceModel>> withAdapter(
        const std::shared_ptr<const InferenceModel>& base, const std::filesystem::path& adapter);

    ~InferenceModel();
    InferenceModel(const InferenceModel&) = delete;
    InferenceModel& operator=(const InferenceModel&) = delete;

    [[nodiscard]] const ModelConfig& config() const noexcept;
    [[nodiscard]] std::uint64_t parameterCount() const noexcept;
    /// Absent when the folder's tokenizer is not byte-level; `tokenizerProblem` says why.
    [[nodiscard]] const std::optional<Tokenizer>& tokenizer() const noexcept;
    [[nodiscard]] const std::string& tokenizerProblem() const noexcept;

    /// SamplingParams::topLogprobs and the other extras as asked for. Usage error for a prompt that
    /// is empty, too long or has tokens outside the vocabulary, or parameters out of range.
    /// `stopWords` end the text as soon as its bytes hold one of them; needs a tokenizer. The
    /// tokens of the word are part of the result only with keepsStop.
    [[nodiscard]] Result<Completion> generate(std::span<const std::int32_t> prompt,
        const SamplingParams& params, std::stop_token stop,
        std::span<const std::string> stopWords = {}) const;

    struct TextCompletion
    {
        std::string text;
        std::int64_t promptTokens = 0;
        Completion completion;
    };
    /// generate for a text; `stop` words end the text where the first of them begins.
    [[nodiscard]] Result<TextCompletion> complete(std::string_view prompt,
        const SamplingParams& params, std::span<const std::string> stopWords,
        std::stop_token stop) const;

private:
    struct Impl;
    explicit InferenceModel(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> m_impl;
};

/// Config and tokenizer files of a folder without its weights: what a server lists of a base model.
struct FolderInfo
{
    ModelConfig config;
    std::uint64_t parameters = 0;
    std::uint64_t weightBytes = 0;
};
/// Reads config.json and the headers of the weights and checks names, shapes and dtypes.
[[nodiscard]] Result<FolderInfo> inspectFolder(const std::filesystem::path& folder);

} // namespace desk::local
