// SPDX-License-Identifier: GPL-3.0-or-later
// ForwardBackwardOutput of tinker_public.
#include "services/codecs/proto_parts.h"
#include "services/codecs/tinker_proto.h"

#include <map>

namespace desk {
namespace {

    using proto::addArray;
    using proto::addSizes;
    using proto::brokenMessage;
    using proto::configEntry;
    using proto::Dtype;
    using proto::isField;
    using proto::kBytes;
    using proto::kMaxProtoEntries;
    using proto::kMaxProtoName;
    using proto::kVarint;
    using proto::pbf_reader;
    using proto::pbf_writer;
    using proto::protoText;
    using proto::realNumbers;
    using proto::wholeNumbers;

    /// May two outputs share a record: the same tensors, and of each the same trailing sizes.
    bool fitsRecord(
        const std::map<std::string, TensorData>& a, const std::map<std::string, TensorData>& b)
    {
        if (a.size() != b.size())
            return false;
        for (auto x = a.begin(), y = b.begin(); x != a.end(); ++x, ++y) {
            const auto trailing = [](const TensorData& tensor) {
                return tensor.shape.size() < 2
                    ? std::vector<std::int64_t> {}
                    : std::vector<std::int64_t>(tensor.shape.begin() + 1, tensor.shape.end());
            };
            if (x->first != y->first || x->second.type != y->second.type
                || trailing(x->second) != trailing(y->second))
                return false;
        }
        return true;
    }

    using Outputs = std::vector<std::map<std::string, TensorData>>;

    void addBatched(pbf_writer& writer, const Outputs& outputs, std::size_t begin, std::size_t end,
        const std::string& name)
    {
        std::string data;
        std::vector<std::int64_t> offsets { 0 };
        const auto& first = outputs[begin].at(name);
        for (auto i = begin; i < end; ++i) {
            const auto& tensor = outputs[i].at(name);
            const void* bytes = tensor.type == TensorType::Int64
                ? static_cast<const void*>(tensor.ints.data())
                : static_cast<const void*>(tensor.floats.data());
            data.append(static_cast<const char*>(bytes),
                tensor.ints.size() * sizeof(std::int64_t) + tensor.floats.size() * sizeof(float));
            offsets.push_back(static_cast<std::int64_t>(data.size()));
        }
        writer.add_bytes(1, data);
        addArray(writer, 2, offsets);
        writer.add_enum(3,
            static_cast<std::int32_t>(
                first.type == TensorType::Int64 ? Dtype::Int64 : Dtype::Float32));
        if (first.shape.size() > 1)
            writer.add_packed_int64(4, first.shape.begin() + 1, first.shape.end());
    }

    void addRecord(
        pbf_writer& writer, const ForwardResult& result, std::size_t begin, std::size_t end)
    {
        pbf_writer record(writer, 2);
        record.add_string(1, "ArrayRecord");
        for (const auto& [name, tensor] : result.outputs[begin]) {
            pbf_writer entry(record, 2);
            entry.add_string(1, name);
            pbf_writer value(entry, 2);
            addBatched(value, result.outputs, begin, end, name);
        }
        record.add_int64(3, static_cast<std::int64_t>(end - begin));
    }

    struct RawBatch
    {
        protozero::data_view data;
        std::vector<std::int64_t> offsets;
        Dtype type = Dtype::Unspecified;
        std::vector<std::int64_t> trailing;
    };

    Result<RawBatch> rawBatch(pbf_reader reader, const std::string& what)
    {
        RawBatch batch;
        while (reader.next()) {
            if (isField(reader, 1, kBytes)) {
                batch.data = reader.get_view();
            } else if (isField(reader, 2, kBytes)) {
                auto offsets = wholeNumbers(reader.get_view(), Dtype::Int64, what);
                if (!offsets)
                    return offsets.error();
                batch.offsets = *std::move(offsets);
            } else if (isField(reader, 3, kVarint)) {
                batch.type = static_cast<Dtype>(reader.get_enum());
            } else if (isField(reader, 4, kBytes) || isField(reader, 4, kVarint)) {
                if (auto status = addSizes(reader, batch.trailing, what); !status)
                    return status.error();
            } else {
                reader.skip();
            }
        }
        return batch;
    }

    Result<TensorData> batchedTensor(
        const RawBatch& batch, std::size_t index, const std::string& what)
    {
        const auto begin = batch.offsets[index];
        const auto end = batch.offsets[index + 1];
        if (begin < 0 || begin > end || end > static_cast<std::int64_t>(batch.data.size()))
            return badTensor(what + " has offsets outside its data");
        const protozero::data_view bytes { batch.data.data() + begin,
            static_cast<std::size_t>(end - begin) };
        const auto trailing = elementCount(batch.trailing, what);
        if (!trailing)
            return trailing.error();
        const std::int64_t itemSize = batch.type == Dtype::Int64 ? 8
            : batch.type == Dtype::Bfloat16                      ? 2
                                                                 : 4;
        if (*trailing < 1 || (end - begin) % (itemSize * *trailing) != 0)
            return badTensor(what + " has data that do not fit its shape");
        TensorData tensor;
        tensor.shape = { (end - begin) / (itemSize * *trailing) };
        tensor.shape.insert(tensor.shape.end(), batch.trailing.begin(), batch.trailing.end());
        const bool isInt = batch.type == Dtype::Int64 || batch.type == Dtype::Int32;
        if (!isInt && batch.type != Dtype::Float32 && batch.type != Dtype::Bfloat16)
            return badTensor(what + " has an unknown dtype");
        tensor.type = isInt ? TensorType::Int64 : TensorType::Float32;
        if (isInt) {
            auto values = wholeNumbers(bytes, batch.type, what);
            if (!values)
                return values.error();
            tensor.ints = *std::move(values);
        } else {
            auto values = realNumbers(bytes, batch.type, what);
            if (!values)
                return values.error();
            tensor.floats = *std::move(values);
        }
        return tensor;
    }

    Status readRecord(pbf_reader reader, Outputs& outputs)
    {
        std::int64_t count = 0;
        std::map<std::string, RawBatch> fields;
        while (reader.next()) {
            if (isField(reader, 2, kBytes)) {
                auto entry = reader.get_message();
                std::string name;
                pbf_reader value;
                while (entry.next()) {
                    if (isField(entry, 1, kBytes))
                        name = protoText(entry, kMaxProtoName);
                    else if (isField(entry, 2, kBytes))
                        value = entry.get_message();
                    else
                        entry.skip();
                }
                auto batch = rawBatch(value, "tensor " + name.substr(0, 100));
                if (!batch)
                    return batch.error();
                fields[name] = *std::move(batch);
            } else if (isField(reader, 3, kVarint)) {
                count = reader.get_int64();
            } else {
                reader.skip();
            }
        }
        if (count < 0 || static_cast<std::size_t>(count) > kMaxDatums
            || outputs.size() + static_cast<std::size_t>(count) > kMaxDatums)
            return badTensor("The result of the forward pass has more than 65536 outputs");
        const auto begin = outputs.size();
        outputs.resize(begin + static_cast<std::size_t>(count));
        for (const auto& [name, batch] : fields) {
            const auto what = "tensor " + name.substr(0, 100);
            if (batch.offsets.size() != static_cast<std::size_t>(count) + 1)
                return badTensor(what + " has offsets for another number of outputs");
            for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
                auto tensor = batchedTensor(batch, i, what);
                if (!tensor)
                    return tensor.error();
                outputs[begin + i][name] = *std::move(tensor);
            }
        }
        return done();
    }

    Result<ForwardResult> readForwardResult(std::string_view bytes)
    {
        ForwardResult result;
        result.outputType.clear();
        pbf_reader reader(bytes.data(), bytes.size());
        while (reader.next()) {
            if (isField(reader, 1, kBytes)) {
                result.outputType = protoText(reader, kMaxProtoName);
            } else if (isField(reader, 2, kBytes)) {
                if (auto status = readRecord(reader.get_message(), result.outputs); !status)
                    return status.error();
            } else if (isField(reader, 3, kBytes) && result.metrics.size() < kMaxProtoEntries) {
                auto entry = configEntry(reader.get_message(), false);
                result.metrics[entry.key] = *entry.number;
            } else {
                reader.skip();
            }
        }
        return result;
    }

} // namespace

std::string encodeForwardResultProto(const ForwardResult& result)
{
    std::string bytes;
    pbf_writer writer(bytes);
    writer.add_string(1, result.outputType);
    for (std::size_t begin = 0; begin < result.outputs.size();) {
        auto end = begin + 1;
        while (
            end < result.outputs.size() && fitsRecord(result.outputs[begin], result.outputs[end]))
            ++end;
        addRecord(writer, result, begin, end);
        begin = end;
    }
    for (const auto& [key, value] : result.metrics) {
        pbf_writer entry(writer, 3);
        entry.add_string(1, key);
        entry.add_double(2, value);
    }
    return bytes;
}

Result<ForwardResult> decodeForwardResultProto(std::string_view bytes)
{
    try {
        return readForwardResult(bytes);
    } catch (const protozero::exception& problem) {
        return brokenMessage("The result of the forward pass", problem);
    }
}

} // namespace desk
