// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/inference_model.h"

#include "services/local/engine/decoder.h"
#include "services/local/engine/hf_folder.h"

#include <algorithm>

namespace desk::local {

struct InferenceModel::Impl
{
    ModelConfig config;
    std::vector<float> weights;
    Decoder decoder;
    std::optional<Tokenizer> tokenizer;
    std::string tokenizerProblem;
};

InferenceModel::InferenceModel(std::unique_ptr<Impl> impl)
    : m_impl(std::move(impl))
{
}
InferenceModel::~InferenceModel() = default;

Result<std::shared_ptr<const InferenceModel>> InferenceModel::open(
    const std::filesystem::path& folder)
{
    auto loaded = loadFolder(folder);
    if (!loaded)
        return loaded.error();
    auto impl = std::unique_ptr<Impl>(
        new Impl { loaded->config, std::move(loaded->weights), Decoder(loaded->config), {}, {} });
    const auto file = loaded->sideFiles.find("tokenizer.json");
    if (file == loaded->sideFiles.end()) {
        impl->tokenizerProblem = "The folder has no tokenizer.json";
    } else if (auto tokenizer = Tokenizer::parse(file->second)) {
        impl->tokenizer.emplace(std::move(*tokenizer));
    } else {
        impl->tokenizerProblem = tokenizer.error().message;
    }
    return std::shared_ptr<const InferenceModel>(new InferenceModel(std::move(impl)));
}

const ModelConfig& InferenceModel::config() const noexcept
{
    return m_impl->config;
}
std::uint64_t InferenceModel::parameterCount() const noexcept
{
    return m_impl->weights.size();
}
const std::optional<Tokenizer>& InferenceModel::tokenizer() const noexcept
{
    return m_impl->tokenizer;
}
const std::string& InferenceModel::tokenizerProblem() const noexcept
{
    return m_impl->tokenizerProblem;
}

Result<Completion> InferenceModel::generate(std::span<const std::int32_t> prompt,
    const SamplingParams& params, std::stop_token stop, std::span<const std::string>) const
{
    return m_impl->decoder.generate(m_impl->weights.data(), prompt, params, std::move(stop));
}

Result<InferenceModel::TextCompletion> InferenceModel::complete(std::string_view prompt,
    const SamplingParams& params, std::span<const std::string> stopWords,
    std::stop_token stop) const
{
    if (!m_impl->tokenizer)
        return Error { Error::Code::Refused, m_impl->tokenizerProblem, "Nothing was generated",
            "Send the prompt as token ids", {} };
    auto tokens = m_impl->tokenizer->encode(prompt);
    if (tokens.empty() && m_impl->config.bosToken >= 0)
        tokens.push_back(m_impl->config.bosToken); // an empty prompt asks for any text

    TextCompletion result;
    result.promptTokens = static_cast<std::int64_t>(tokens.size());
    const auto firstStop = [&](const std::string& text) {
        std::size_t at = std::string::npos;
        for (const std::string& word : stopWords)
            if (!word.empty())
                at = std::min(at, text.find(word));
        return at;
    };
    const auto onToken = [&](std::int32_t token) {
        result.text += m_impl->tokenizer->decode({ &token, 1 });
        return firstStop(result.text) == std::string::npos;
    };
    auto completion =
        m_impl->decoder.generate(m_impl->weights.data(), tokens, params, std::move(stop), onToken);
    if (!completion)
        return completion.error();
    result.completion = std::move(*completion);
    if (const std::size_t at = firstStop(result.text); at != std::string::npos)
        result.text.resize(at);
    return result;
}

Result<FolderInfo> inspectFolder(const std::filesystem::path& folder)
{
    const auto checked = checkFolder(folder);
    if (!checked)
        return checked.error();
    return FolderInfo { checked->first, desk::local::parameterCount(checked->first),
        checked->second };
}

} // namespace desk::local
