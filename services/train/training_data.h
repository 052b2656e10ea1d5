// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/trainer_codec.h"
#include "services/core/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace desk {

/// How text becomes tokens of a byte-level model: every byte is the token of its value.
struct ByteVocabulary
{
    std::int64_t size = 259;
    std::int64_t endOfText = 257; ///< below 0: the model has none
};

/// Token sequences of one data set, ready to be cut into batches.
/// THREAD: any, immutable after it was made.
class TrainingData
{
public:
    TrainingData() = default;
    /// A text: one stream of tokens, cut into windows of maxSeqLen.
    [[nodiscard]] static Result<TrainingData> fromText(
        std::string_view text, int maxSeqLen, const ByteVocabulary& vocabulary);
    /// JSON Lines of examples (ledger_codec.h); longer ones are cut at maxSeqLen. A broken line is
    /// an error that names it: training on half the data would look like success.
    [[nodiscard]] static Result<TrainingData> fromJsonLines(
        std::string_view text, int maxSeqLen, const ByteVocabulary& vocabulary);
    /// By content: JSON Lines when `path` ends in .jsonl or .json, else text. At most 1 GiB.
    /// THREAD: reads the file, so not on a thread that must not block.
    [[nodiscard]] static Result<TrainingData> load(
        const std::string& path, int maxSeqLen, const ByteVocabulary& vocabulary);

    [[nodiscard]] std::size_t sequenceCount() const noexcept;
    [[nodiscard]] bool isEmpty() const noexcept { return sequenceCount() == 0; }
    /// Sequence `index` of an epoch; windows of a text begin `shift` tokens later.
    [[nodiscard]] Datum sequence(std::size_t index, std::size_t shift) const;
    [[nodiscard]] bool isStream() const noexcept { return !m_stream.empty(); }
    [[nodiscard]] int maxSeqLen() const noexcept { return m_maxSeqLen; }

private:
    struct Example
    {
        std::vector<std::int64_t> tokens;
        std::vector<float> weights; ///< of each token as a target; 0: no loss on it
    };
    int m_maxSeqLen = 0;
    std::vector<std::int64_t> m_stream;
    std::vector<Example> m_examples;
};

/// Targets with a weight other than 0: the tokens that the loss is taken on.
[[nodiscard]] double lossTokensOf(const std::vector<Datum>& batch);
/// The inputs of a policy loss: advantages from the weights, and the log-probabilities that the
/// model gave just before. Malformed if `before` does not fit the batch.
[[nodiscard]] Result<std::vector<Datum>> policyBatch(
    std::vector<Datum> batch, const ForwardResult& before);
[[nodiscard]] std::int64_t tokensOf(const std::vector<Datum>& batch);

/// Batches by step, in an order that depends on the seed and the epoch only: a run that continues
/// at step n sees what it would have seen.
class BatchSource
{
public:
    BatchSource(TrainingData data, int batchSize, std::int64_t seed);
    /// Batch of a step, counted from 1.
    [[nodiscard]] std::vector<Datum> batch(std::int64_t step);
    [[nodiscard]] double epochsAt(std::int64_t step) const;
    [[nodiscard]] std::int64_t stepsFor(double epochs) const;

private:
    void enterEpoch(std::int64_t epoch);

    TrainingData m_data;
    std::int64_t m_batchSize;
    std::uint64_t m_seed;
    std::int64_t m_epoch = -1;
    std::vector<std::size_t> m_order;
    std::size_t m_shift = 0;
};

} // namespace desk
