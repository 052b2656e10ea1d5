// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/inference_model.h"

#include "services/local/engine/adapter_folder.h"
#include "services/local/engine/decoder.h"
#include "services/local/engine/hf_folder.h"

#include <algorithm>

namespace desk::local {

struct InferenceModel::Impl
{
    ModelConfig config;
    std::shared_ptr<const std::vector<float>> weights; // shared with the models of its adapters
    std::shared_ptr<const Decoder> decoder;
    std::optional<Tokenizer> tokenizer;
    std::string tokenizerProblem;
    LoraLayout layout;
    std::vector<float> adapter; // empty: none

    [[nodiscard]] DecoderWeights view() const
    {
        if (adapter.empty())
            return { weights->data(), nullptr, nullptr };
        return { weights->data(), &layout, adapter.data() };
    }
};

namespace {
    // Ends a text as soon as its bytes hold one of the words.
    class StopWords
    {
    public:
        StopWords(const Tokenizer& tokenizer, std::span<const std::string> words, bool keepsStop)
            : m_tokenizer(tokenizer)
            , m_keepsStop(keepsStop)
        {
            for (const std::string& word : words)
                if (!word.empty())
                    m_words.push_back(word);
        }
        [[nodiscard]] std::optional<std::size_t> operator()(std::span<const std::int32_t> tokens)
        {
            const std::size_t before = m_text.size();
            m_text += m_tokenizer.decode(tokens.last(1));
            m_ends.push_back(m_text.size());
            std::size_t found = std::string::npos;
            for (const std::string& word : m_words) {
                // A word that was not there before ends within the bytes of this token.
                const std::size_t from = before >= word.size() ? before - word.size() + 1 : 0;
                found = std::min(found, m_text.find(word, from));
            }
            if (found == std::string::npos)
                return std::nullopt;
            if (m_keepsStop)
                return tokens.size();
            return static_cast<std::size_t>(
                std::upper_bound(m_ends.begin(), m_ends.end(), found) - m_ends.begin());
        }

    private:
        const Tokenizer& m_tokenizer;
        std::vector<std::string> m_words;
        bool m_keepsStop;
        std::string m_text;
        std::vector<std::size_t> m_ends; // bytes up to and with each token
    };
} // namespace

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
    auto impl = std::make_unique<Impl>();
    impl->config = loaded->config;
    impl->weights = std::make_shared<const std::vector<float>>(std::move(loaded->weights));
    impl->decoder = std::make_shared<const Decoder>(loaded->config);
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

Result<std::shared_ptr<const InferenceModel>> InferenceModel::withAdapter(
    const std::shared_ptr<const InferenceModel>& base, const std::filesystem::path& adapter)
{
    const Impl& from = *base->m_impl;
    if (!from.adapter.empty())
        return Error { Error::Code::Usage, "The base has an adapter already",
            "The adapter was not loaded", "Open the adapter on the model without adapter", {} };
    auto loaded = loadAdapterFolder(adapter, from.config);
    if (!loaded)
        return loaded.error();
    auto impl = std::make_unique<Impl>(from);
    impl->layout = loraLayout(from.config, loaded->settings);
    impl->adapter = std::move(loaded->weights);
    return std::shared_ptr<const InferenceModel>(new InferenceModel(std::move(impl)));
}

const ModelConfig& InferenceModel::config() const noexcept
{
    return m_impl->config;
}
std::uint64_t InferenceModel::parameterCount() const noexcept
{
    return m_impl->weights->size() + m_impl->adapter.size();
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
    const SamplingParams& params, std::stop_token stop,
    std::span<const std::string> stopWords) const
{
    const bool hasWords = std::any_of(
        stopWords.begin(), stopWords.end(), [](const std::string& word) { return !word.empty(); });
    if (!hasWords)
        return m_impl->decoder->generate(m_impl->view(), prompt, params, stop);
    if (!m_impl->tokenizer)
        return Error { Error::Code::Refused,
            "Stop texts need the tokenizer of the model: " + m_impl->tokenizerProblem,
            "Nothing was generated", "Send the stops as token ids", {} };
    StopWords words(*m_impl->tokenizer, stopWords, params.keepsStop);
    return m_impl->decoder->generate(m_impl->view(), prompt, params, stop,
        [&words](std::span<const std::int32_t> tokens) { return words(tokens); });
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
    auto completion = generate(tokens, params, std::move(stop), stopWords);
    if (!completion)
        return completion.error();
    TextCompletion result;
    result.promptTokens = static_cast<std::int64_t>(tokens.size());
    result.text = m_impl->tokenizer->decode(completion->tokens);
    result.completion = std::move(*completion);
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
