// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/train/training_data.h"

#include "services/codecs/ledger_codec.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <sstream>

namespace desk {
namespace {

    constexpr std::uintmax_t kMaxDataFile = std::uintmax_t { 1 } << 30;

    Error dataError(Error::Code code, std::string message)
    {
        return { code, std::move(message), "no training was started",
            "name a text file, or JSON Lines with prompt and completion, messages or text", {} };
    }

    std::vector<std::int64_t> bytesOf(std::string_view text)
    {
        std::vector<std::int64_t> tokens;
        tokens.reserve(text.size());
        for (const char c : text)
            tokens.push_back(static_cast<unsigned char>(c));
        return tokens;
    }

    Datum datumOf(std::vector<std::int64_t> tokens, std::vector<std::int64_t> targets,
        std::vector<float> weights)
    {
        Datum datum;
        datum.tokens = std::move(tokens);
        datum.lossInputs.emplace("target_tokens", intTensor(std::move(targets)));
        datum.lossInputs.emplace("weights", floatTensor(std::move(weights)));
        return datum;
    }

} // namespace

Result<TrainingData> TrainingData::fromText(
    std::string_view text, int maxSeqLen, const ByteVocabulary& vocabulary)
{
    if (vocabulary.size < 256)
        return dataError(Error::Code::Refused,
            "the model's vocabulary has " + std::to_string(vocabulary.size)
                + " tokens, fewer than there are bytes");
    TrainingData data;
    data.m_maxSeqLen = maxSeqLen;
    data.m_stream = bytesOf(text);
    if (data.m_stream.size() < 2)
        return dataError(Error::Code::Malformed, "the text has fewer than two bytes");
    return data;
}

Result<TrainingData> TrainingData::fromJsonLines(
    std::string_view text, int maxSeqLen, const ByteVocabulary& vocabulary)
{
    if (vocabulary.size < 256)
        return fromText(text, maxSeqLen, vocabulary);
    TrainingData data;
    data.m_maxSeqLen = maxSeqLen;
    std::size_t lineNumber = 0;
    while (!text.empty()) {
        ++lineNumber;
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.find_first_not_of(" \t\r") == std::string_view::npos)
            continue;
        const auto example = decodeTrainingExample(line);
        if (!example)
            return dataError(Error::Code::Malformed,
                "line " + std::to_string(lineNumber) + " of the data: " + example.error().message);
        Example tokens;
        const auto weight = static_cast<float>(example->weight);
        for (const auto& part : example->parts) {
            const auto bytes = bytesOf(part.text);
            tokens.tokens.insert(tokens.tokens.end(), bytes.begin(), bytes.end());
            tokens.weights.resize(tokens.tokens.size(), part.isTrained ? weight : 0.0F);
        }
        if (vocabulary.endOfText >= 0) {
            tokens.tokens.push_back(vocabulary.endOfText);
            tokens.weights.push_back(weight);
        }
        const auto most = static_cast<std::size_t>(maxSeqLen) + 1;
        if (tokens.tokens.size() > most) {
            tokens.tokens.resize(most);
            tokens.weights.resize(most);
        }
        const bool isTrained = tokens.tokens.size() > 1
            && std::any_of(tokens.weights.begin() + 1, tokens.weights.end(),
                [](float value) { return value != 0.0F; });
        if (isTrained) // an example whose prompt fills the window teaches nothing
            data.m_examples.push_back(std::move(tokens));
    }
    if (data.m_examples.empty())
        return dataError(Error::Code::Malformed, "the data has no example to train on");
    return data;
}

Result<TrainingData> TrainingData::load(
    const std::string& path, int maxSeqLen, const ByteVocabulary& vocabulary)
{
    const std::filesystem::path file(path);
    std::error_code error;
    const auto size = std::filesystem::file_size(file, error);
    if (error)
        return dataError(Error::Code::Unreadable, "cannot read " + path + ": " + error.message());
    if (size > kMaxDataFile)
        return dataError(Error::Code::Unreadable, path + " is larger than 1 GiB");
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in)
        return dataError(
            Error::Code::Unreadable, "cannot read " + path + ": " + std::strerror(errno));
    const bool isJsonLines = file.extension() == ".jsonl" || file.extension() == ".json";
    auto data = isJsonLines ? fromJsonLines(text.str(), maxSeqLen, vocabulary)
                            : fromText(text.str(), maxSeqLen, vocabulary);
    if (!data) {
        Error named = data.error();
        named.message = path + ": " + named.message;
        return named;
    }
    return data;
}

std::size_t TrainingData::sequenceCount() const noexcept
{
    if (m_stream.empty())
        return m_examples.size();
    const auto length = static_cast<std::size_t>(m_maxSeqLen);
    return std::max<std::size_t>(1, (m_stream.size() - 1) / length);
}

Datum TrainingData::sequence(std::size_t index, std::size_t shift) const
{
    if (m_stream.empty()) {
        const Example& example = m_examples[index];
        return datumOf({ example.tokens.begin(), example.tokens.end() - 1 },
            { example.tokens.begin() + 1, example.tokens.end() },
            { example.weights.begin() + 1, example.weights.end() });
    }
    // The last window of a shifted epoch wraps to the front, so that every token is used.
    const std::size_t size = m_stream.size();
    const std::size_t length = std::min(static_cast<std::size_t>(m_maxSeqLen), size - 1);
    const std::size_t last = size - 1 - length;
    std::size_t begin = index * length + shift;
    if (begin > last)
        begin = last == 0 ? 0 : begin % (last + 1);
    const auto at = m_stream.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto count = static_cast<std::ptrdiff_t>(length);
    return datumOf(
        { at, at + count }, { at + 1, at + count + 1 }, std::vector<float>(length, 1.0F));
}

double lossTokensOf(const std::vector<Datum>& batch)
{
    double count = 0;
    for (const Datum& datum : batch) {
        const auto& weights = datum.lossInputs.at("weights").floats;
        count += static_cast<double>(std::count_if(
            weights.begin(), weights.end(), [](float weight) { return weight != 0.0F; }));
    }
    return count;
}

Result<std::vector<Datum>> policyBatch(std::vector<Datum> batch, const ForwardResult& before)
{
    if (before.outputs.size() != batch.size())
        return Error { Error::Code::Malformed,
            "The trainer answered " + std::to_string(before.outputs.size()) + " outputs for "
                + std::to_string(batch.size()) + " sequences",
            "no gradient was computed", {}, {} };
    for (std::size_t i = 0; i < batch.size(); ++i) {
        auto& inputs = batch[i].lossInputs;
        const auto logprobs = before.outputs[i].find("logprobs");
        if (logprobs == before.outputs[i].end()
            || logprobs->second.floats.size() != batch[i].tokens.size())
            return Error { Error::Code::Malformed,
                "The trainer's output of sequence " + std::to_string(i)
                    + " does not hold a log-probability for each token",
                "no gradient was computed", {}, {} };
        inputs["logprobs"] = logprobs->second;
        inputs["advantages"] = std::move(inputs.at("weights"));
        inputs.erase("weights");
    }
    return batch;
}

std::int64_t tokensOf(const std::vector<Datum>& batch)
{
    std::size_t tokens = 0;
    for (const Datum& datum : batch)
        tokens += datum.tokens.size();
    return static_cast<std::int64_t>(tokens);
}

BatchSource::BatchSource(TrainingData data, int batchSize, std::int64_t seed)
    : m_data(std::move(data))
    , m_batchSize(batchSize)
    , m_seed(static_cast<std::uint64_t>(seed))
{
}

void BatchSource::enterEpoch(std::int64_t epoch)
{
    if (epoch == m_epoch)
        return;
    m_epoch = epoch;
    std::mt19937_64 random(m_seed * 0x9E3779B97F4A7C15ULL + static_cast<std::uint64_t>(epoch));
    m_order.resize(m_data.sequenceCount());
    std::iota(m_order.begin(), m_order.end(), std::size_t { 0 });
    // Not std::shuffle: its result differs between standard libraries.
    for (std::size_t i = m_order.size(); i > 1; --i)
        std::swap(m_order[i - 1], m_order[random() % i]);
    m_shift = m_data.isStream() ? random() % static_cast<std::uint64_t>(m_data.maxSeqLen()) : 0;
}

std::vector<Datum> BatchSource::batch(std::int64_t step)
{
    std::vector<Datum> out;
    const auto count = static_cast<std::int64_t>(m_data.sequenceCount());
    for (std::int64_t i = 0; i < m_batchSize; ++i) {
        const std::int64_t at = (step - 1) * m_batchSize + i;
        enterEpoch(at / count);
        out.push_back(m_data.sequence(m_order[static_cast<std::size_t>(at % count)], m_shift));
    }
    return out;
}

double BatchSource::epochsAt(std::int64_t step) const
{
    return static_cast<double>(step * m_batchSize) / static_cast<double>(m_data.sequenceCount());
}

std::int64_t BatchSource::stepsFor(double epochs) const
{
    const double sequences = epochs * static_cast<double>(m_data.sequenceCount());
    const double steps = std::ceil(sequences / static_cast<double>(m_batchSize));
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(steps));
}

} // namespace desk
