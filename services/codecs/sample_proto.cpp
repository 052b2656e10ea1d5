// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/sample_proto.h"

#include "services/codecs/json_read.h"

#include <bit>
#include <cstring>
#include <exception>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

namespace desk {
namespace {

    static_assert(
        std::endian::native == std::endian::little, "arrays of the wire are copied as they are");

    constexpr std::int32_t kDtypeFloat32 = 1;
    constexpr std::int32_t kDtypeInt64 = 2;
    constexpr std::size_t kMaxSequences = 65'536;

    // A field of another wire type than the message says is skipped, as unknown ones are.
    constexpr std::uint32_t bytesField(std::uint32_t tag)
    {
        return protozero::tag_and_type(tag, protozero::pbf_wire_type::length_delimited);
    }
    constexpr std::uint32_t numberField(std::uint32_t tag)
    {
        return protozero::tag_and_type(tag, protozero::pbf_wire_type::varint);
    }

    template <class T>
    std::string packed(const std::vector<T>& values)
    {
        std::string bytes(values.size() * sizeof(T), '\0');
        if (!values.empty())
            std::memcpy(bytes.data(), values.data(), bytes.size());
        return bytes;
    }

    template <class T>
    std::vector<T> unpacked(protozero::data_view bytes)
    {
        std::vector<T> values(bytes.size() / sizeof(T));
        if (!values.empty())
            std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
        return values;
    }

    void writeTopk(protozero::pbf_writer writer, const SampleTopk& topk)
    {
        const auto k = static_cast<std::uint32_t>(topk.k);
        writer.add_bytes(1, packed(topk.tokens));
        writer.add_bytes(2, packed(topk.logprobs));
        writer.add_uint32(3, k);
        writer.add_uint32(4, k == 0 ? 0 : static_cast<std::uint32_t>(topk.tokens.size() / k));
    }

    void writeShape(
        protozero::pbf_writer& writer, std::int32_t dtype, const std::vector<std::int64_t>& shape)
    {
        writer.add_enum(3, dtype);
        writer.add_packed_int64(4, shape.begin(), shape.end());
    }

    /// In the layout of the request: a sparse one gets the listed cells only.
    void writeTargets(protozero::pbf_writer writer, const PromptTargets& targets,
        const std::vector<float>& logprobs)
    {
        if (!targets.isSparse) {
            writer.add_bytes(1, packed(logprobs));
        } else {
            std::vector<float> values;
            const auto columns = static_cast<std::size_t>(targets.columns);
            for (std::size_t row = 0; row + 1 < targets.rowStarts.size(); ++row)
                for (auto at = targets.rowStarts[row]; at < targets.rowStarts[row + 1]; ++at)
                    values.push_back(logprobs[row * columns
                        + static_cast<std::size_t>(
                            targets.columnIndices[static_cast<std::size_t>(at)])]);
            protozero::pbf_writer csr(writer, 2);
            csr.add_bytes(1, packed(values));
            csr.add_bytes(2, packed(targets.rowStarts));
            csr.add_bytes(3, packed(targets.columnIndices));
        }
        writeShape(writer, kDtypeFloat32, { targets.rows, targets.columns });
    }

    void writeAltTokens(protozero::pbf_writer writer, const SampleResult& result)
    {
        const auto k = static_cast<std::int64_t>(result.altTokens);
        const auto rows = static_cast<std::int64_t>(result.promptAltTokens.size()) / k;
        {
            protozero::pbf_writer tokens(writer, 1);
            tokens.add_bytes(1, packed(result.promptAltTokens));
            writeShape(tokens, kDtypeInt64, { rows, k });
        }
        protozero::pbf_writer logprobs(writer, 2);
        logprobs.add_bytes(1, packed(result.promptAltLogprobs));
        writeShape(logprobs, kDtypeFloat32, { rows, k });
    }

    Result<SampleTopk> readTopk(protozero::pbf_reader reader)
    {
        SampleTopk topk;
        std::size_t length = 0;
        while (reader.next()) {
            switch (reader.tag_and_type()) {
            case bytesField(1):
                topk.tokens = unpacked<std::int32_t>(reader.get_view());
                break;
            case bytesField(2):
                topk.logprobs = unpacked<float>(reader.get_view());
                break;
            case numberField(3):
                topk.k = static_cast<int>(reader.get_uint32() & 0xFFFFU);
                break;
            case numberField(4):
                length = reader.get_uint32();
                break;
            default:
                reader.skip();
            }
        }
        if (topk.tokens.size() != length * static_cast<std::size_t>(topk.k)
            || topk.logprobs.size() != topk.tokens.size())
            return malformed("The best tokens of the sample have another number than they say");
        return topk;
    }

    Result<SampledSequence> readSequence(protozero::pbf_reader reader)
    {
        SampledSequence sequence;
        sequence.isStopped = true; // 0 is absent on the wire
        while (reader.next()) {
            switch (reader.tag_and_type()) {
            case numberField(1):
                sequence.isStopped = reader.get_enum() == 0;
                break;
            case bytesField(2):
                sequence.tokens = unpacked<std::int32_t>(reader.get_view());
                break;
            case bytesField(3):
                sequence.logprobs = unpacked<float>(reader.get_view());
                break;
            case bytesField(4): {
                auto topk = readTopk(reader.get_message());
                if (!topk)
                    return topk.error();
                sequence.topk = *std::move(topk);
                break;
            }
            default:
                reader.skip();
            }
        }
        if (!sequence.logprobs.empty() && sequence.logprobs.size() != sequence.tokens.size())
            return malformed("A sequence of the sample has not one logprob per token");
        return sequence;
    }

    struct ProtoTensor
    {
        std::string dense;
        std::vector<std::int64_t> shape;
        std::string values;
        std::vector<std::int64_t> rowStarts;
        std::vector<std::int64_t> columns;
        bool isSparse = false;
    };

    ProtoTensor readTensor(protozero::pbf_reader reader)
    {
        ProtoTensor tensor;
        while (reader.next()) {
            if (reader.tag_and_type() == bytesField(1)) {
                tensor.dense = reader.get_bytes();
            } else if (reader.tag_and_type() == bytesField(2)) {
                tensor.isSparse = true;
                auto csr = reader.get_message();
                while (csr.next()) {
                    if (csr.tag_and_type() == bytesField(1))
                        tensor.values = csr.get_bytes();
                    else if (csr.tag_and_type() == bytesField(2))
                        tensor.rowStarts = unpacked<std::int64_t>(csr.get_view());
                    else if (csr.tag_and_type() == bytesField(3))
                        tensor.columns = unpacked<std::int64_t>(csr.get_view());
                    else
                        csr.skip();
                }
            } else if (reader.tag_and_type() == bytesField(4)) {
                for (const auto size : reader.get_packed_int64())
                    tensor.shape.push_back(size);
            } else {
                reader.skip();
            }
        }
        return tensor;
    }

    Status takeTargets(const ProtoTensor& tensor, SampleResult& result)
    {
        if (tensor.shape.size() != 2 || tensor.shape[0] < 0 || tensor.shape[1] < 0)
            return malformed("The target logprobs of the sample have no shape");
        PromptTargets targets;
        targets.rows = tensor.shape[0];
        targets.columns = tensor.shape[1];
        targets.isSparse = tensor.isSparse;
        targets.rowStarts = tensor.rowStarts;
        targets.columnIndices = tensor.columns;
        const auto& bytes = tensor.isSparse ? tensor.values : tensor.dense;
        result.targetLogprobs = unpacked<float>({ bytes.data(), bytes.size() });
        result.targets = std::move(targets);
        return done();
    }

    void takeAltTokens(protozero::pbf_reader reader, SampleResult& result)
    {
        while (reader.next()) {
            const bool isTokens = reader.tag_and_type() == bytesField(1);
            if (!isTokens && reader.tag_and_type() != bytesField(2)) {
                reader.skip();
                continue;
            }
            const auto tensor = readTensor(reader.get_message());
            const protozero::data_view bytes(tensor.dense.data(), tensor.dense.size());
            if (tensor.shape.size() == 2)
                result.altTokens = static_cast<int>(tensor.shape[1] & 0xFFFF);
            if (isTokens)
                result.promptAltTokens = unpacked<std::int64_t>(bytes);
            else
                result.promptAltLogprobs = unpacked<float>(bytes);
        }
    }

    Result<SampleResult> readResult(protozero::pbf_reader reader)
    {
        SampleResult result;
        while (reader.next()) {
            switch (reader.tag_and_type()) {
            case bytesField(1): {
                auto sequence = readSequence(reader.get_message());
                if (!sequence)
                    return sequence.error();
                if (result.sequences.size() >= kMaxSequences)
                    return malformed("The sample has too many sequences");
                result.sequences.push_back(*std::move(sequence));
                break;
            }
            case bytesField(2):
                result.promptLogprobs = unpacked<float>(reader.get_view());
                break;
            case bytesField(3): {
                auto topk = readTopk(reader.get_message());
                if (!topk)
                    return topk.error();
                result.topkPrompt = *std::move(topk);
                break;
            }
            case numberField(4):
                result.cachedPromptTokens = reader.get_int32();
                break;
            case bytesField(5): {
                if (auto status = takeTargets(readTensor(reader.get_message()), result); !status)
                    return status.error();
                break;
            }
            case bytesField(6):
                takeAltTokens(reader.get_message(), result);
                break;
            default:
                reader.skip();
            }
        }
        return result;
    }

} // namespace

std::string encodeSampleProto(const SampleResult& result)
{
    std::string bytes;
    protozero::pbf_writer writer(bytes);
    for (const auto& sequence : result.sequences) {
        protozero::pbf_writer row(writer, 1);
        if (!sequence.isStopped)
            row.add_enum(1, 1);
        row.add_bytes(2, packed(sequence.tokens));
        if (!sequence.logprobs.empty())
            row.add_bytes(3, packed(sequence.logprobs));
        if (sequence.topk)
            writeTopk(protozero::pbf_writer(row, 4), *sequence.topk);
    }
    if (result.promptLogprobs)
        writer.add_bytes(2, packed(*result.promptLogprobs));
    if (result.topkPrompt)
        writeTopk(protozero::pbf_writer(writer, 3), *result.topkPrompt);
    if (result.cachedPromptTokens != 0)
        writer.add_int32(4, result.cachedPromptTokens);
    if (result.targets)
        writeTargets(protozero::pbf_writer(writer, 5), *result.targets, result.targetLogprobs);
    if (result.altTokens > 0)
        writeAltTokens(protozero::pbf_writer(writer, 6), result);
    return bytes;
}

Result<SampleResult> decodeSampleProto(std::string_view bytes)
{
    try {
        return readResult(protozero::pbf_reader(bytes.data(), bytes.size()));
    } catch (const std::exception& problem) {
        return malformed(std::string("The sample is no protobuf message: ") + problem.what());
    }
}

} // namespace desk
