// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/tinker_proto.h"

#include "services/codecs/dense_tensor.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

namespace desk {
namespace {

    static_assert(
        std::endian::native == std::endian::little, "arrays of the wire are copied as they are");

    using protozero::pbf_reader;
    using protozero::pbf_writer;
    using protozero::tag_and_type;

    enum class Dtype : std::int32_t
    {
        Unspecified = 0,
        Float32 = 1,
        Int64 = 2,
        Int32 = 3,
        Bfloat16 = 4
    };
    constexpr std::size_t kMaxProtoName = 1'024; // of keys, losses, model ids
    constexpr std::size_t kMaxProtoEntries = 4'096; // of a map
    constexpr std::size_t kMaxProtoText = 65'536;

    constexpr auto kBytes = protozero::pbf_wire_type::length_delimited;
    constexpr auto kVarint = protozero::pbf_wire_type::varint;
    constexpr auto kFixed64 = protozero::pbf_wire_type::fixed64;

    /// A known number with another wire type is an unknown field; reading it would be undefined.
    bool isField(
        const pbf_reader& reader, protozero::pbf_tag_type tag, protozero::pbf_wire_type type)
    {
        return reader.tag() == tag && reader.wire_type() == type;
    }

    struct BadText final : protozero::exception
    {
        const char* what() const noexcept override { return "a text that is too long or no UTF-8"; }
    };

    bool isUtf8(std::string_view text)
    {
        for (std::size_t i = 0; i < text.size();) {
            const auto lead = static_cast<unsigned char>(text[i]);
            const std::size_t length = lead < 0x80    ? 1
                : (lead >> 5U) == 0x06 && lead > 0xC1 ? 2
                : (lead >> 4U) == 0x0E                ? 3
                : (lead >> 3U) == 0x1E && lead < 0xF5 ? 4
                                                      : 0;
            if (length == 0 || i + length > text.size())
                return false;
            std::uint32_t code = length == 1 ? lead : lead & (0xFFU >> (length + 1));
            for (std::size_t k = 1; k < length; ++k) {
                const auto next = static_cast<unsigned char>(text[i + k]);
                if ((next >> 6U) != 0x02)
                    return false;
                code = (code << 6U) | (next & 0x3FU);
            }
            const bool isSurrogate = code >= 0xD800 && code <= 0xDFFF;
            const bool isOverlong =
                (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
            if (isSurrogate || isOverlong || code > 0x10FFFF)
                return false;
            i += length;
        }
        return true;
    }

    std::string protoText(pbf_reader& reader, std::size_t limit)
    {
        const auto view = reader.get_view();
        if (view.size() > limit || !isUtf8({ view.data(), view.size() }))
            throw BadText();
        return { view.data(), view.size() };
    }

    template <class Wire, class T>
    Result<std::vector<T>> arrayOf(protozero::data_view bytes, const std::string& what)
    {
        if (bytes.size() % sizeof(Wire) != 0)
            return badTensor(what + " has " + std::to_string(bytes.size())
                + " bytes, which is no whole number of elements");
        const auto count = bytes.size() / sizeof(Wire);
        if (count > static_cast<std::size_t>(kMaxTensorElements))
            return badTensor(what + " has more than 16000000 elements");
        std::vector<T> values(count);
        if constexpr (std::is_same_v<Wire, T>) {
            if (count > 0)
                std::memcpy(values.data(), bytes.data(), bytes.size());
        } else {
            for (std::size_t i = 0; i < count; ++i) {
                Wire value {};
                std::memcpy(&value, bytes.data() + i * sizeof(Wire), sizeof(Wire));
                if constexpr (std::is_floating_point_v<T>)
                    values[i] = std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
                else
                    values[i] = static_cast<T>(value);
            }
        }
        return values;
    }

    Result<std::vector<std::int64_t>> wholeNumbers(
        protozero::data_view bytes, Dtype type, const std::string& what)
    {
        return type == Dtype::Int32 ? arrayOf<std::int32_t, std::int64_t>(bytes, what)
                                    : arrayOf<std::int64_t, std::int64_t>(bytes, what);
    }

    Result<std::vector<float>> realNumbers(
        protozero::data_view bytes, Dtype type, const std::string& what)
    {
        return type == Dtype::Bfloat16 ? arrayOf<std::uint16_t, float>(bytes, what)
                                       : arrayOf<float, float>(bytes, what);
    }

    /// The parts of a Tensor before its type is known: the fields come in any order.
    struct RawTensor
    {
        protozero::data_view values;
        protozero::data_view rows;
        protozero::data_view columns;
        bool isSparse = false;
        bool hasValues = false;
        Dtype type = Dtype::Unspecified;
        std::vector<std::int64_t> shape;
    };

    Status addSizes(pbf_reader& reader, std::vector<std::int64_t>& shape, const std::string& what)
    {
        if (reader.wire_type() == protozero::pbf_wire_type::varint) {
            shape.push_back(reader.get_int64());
        } else {
            const auto sizes = reader.get_packed_int64();
            for (const auto size : sizes) {
                if (shape.size() > kMaxTensorDimensions)
                    break;
                shape.push_back(size);
            }
        }
        if (shape.size() > kMaxTensorDimensions)
            return badTensor(what + " has more than 8 dimensions");
        return done();
    }

    Result<RawTensor> rawTensor(pbf_reader reader, const std::string& what)
    {
        RawTensor raw;
        while (reader.next()) {
            switch (reader.tag_and_type()) {
            case tag_and_type(1, kBytes):
                raw.values = reader.get_view();
                raw.hasValues = true;
                raw.isSparse = false;
                break;
            case tag_and_type(2, kBytes): {
                auto sparse = reader.get_message();
                raw.isSparse = true;
                raw.hasValues = true;
                while (sparse.next()) {
                    if (isField(sparse, 1, kBytes))
                        raw.values = sparse.get_view();
                    else if (isField(sparse, 2, kBytes))
                        raw.rows = sparse.get_view();
                    else if (isField(sparse, 3, kBytes))
                        raw.columns = sparse.get_view();
                    else
                        sparse.skip();
                }
                break;
            }
            case tag_and_type(3, kVarint):
                raw.type = static_cast<Dtype>(reader.get_enum());
                break;
            case tag_and_type(4, kBytes):
            case tag_and_type(4, kVarint):
                if (auto status = addSizes(reader, raw.shape, what); !status)
                    return status.error();
                break;
            default:
                reader.skip();
            }
        }
        return raw;
    }

    template <class T>
    Status settleProto(std::vector<T>& target, Result<std::vector<T>> values, const RawTensor& raw,
        std::vector<std::int64_t>& shape, std::size_t& budget, const std::string& what)
    {
        if (!values)
            return values.error();
        const auto expected = elementCount(raw.shape, what);
        if (!expected)
            return expected.error();
        const auto wanted = raw.isSparse ? static_cast<std::size_t>(*expected) : values->size();
        if (auto status = takeElements(budget, wanted); !status)
            return status;
        if (raw.isSparse) {
            const auto rows = wholeNumbers(raw.rows, Dtype::Int64, what);
            const auto columns = wholeNumbers(raw.columns, Dtype::Int64, what);
            if (!rows || !columns)
                return rows ? columns.error() : rows.error();
            values = densified(*values, *rows, *columns, raw.shape, what);
            if (!values)
                return values.error();
        }
        const auto count = static_cast<std::int64_t>(values->size());
        if (!raw.shape.empty() && count != *expected)
            return badTensor(what + " has " + std::to_string(count) + " values, its shape says "
                + std::to_string(*expected));
        shape = raw.shape.empty() ? std::vector<std::int64_t> { count } : raw.shape;
        target = *std::move(values);
        return done();
    }

    Result<TensorData> protoTensor(pbf_reader reader, std::size_t& budget, const std::string& what)
    {
        const auto raw = rawTensor(reader, what);
        if (!raw)
            return raw.error();
        TensorData tensor;
        Status status = done();
        switch (raw->type) {
        case Dtype::Float32:
        case Dtype::Bfloat16:
            tensor.type = TensorType::Float32;
            status = settleProto(tensor.floats, realNumbers(raw->values, raw->type, what), *raw,
                tensor.shape, budget, what);
            break;
        case Dtype::Int64:
        case Dtype::Int32:
            tensor.type = TensorType::Int64;
            status = settleProto(tensor.ints, wholeNumbers(raw->values, raw->type, what), *raw,
                tensor.shape, budget, what);
            break;
        default:
            return badTensor(what + " has the unknown dtype "
                + std::to_string(static_cast<std::int32_t>(raw->type)));
        }
        if (!status)
            return status.error();
        return tensor;
    }

    Status readChunk(pbf_reader chunk, Datum& datum, const std::string& what)
    {
        while (chunk.next()) {
            if (!isField(chunk, 1, kBytes))
                return badTensor(what + ": only encoded_text chunks are understood, not "
                    + (chunk.tag() == 2        ? "image"
                            : chunk.tag() == 3 ? "dmel"
                                               : "field " + std::to_string(chunk.tag())));
            auto text = chunk.get_message();
            while (text.next()) {
                if (!isField(text, 1, kBytes)) {
                    text.skip();
                    continue;
                }
                const auto ids = wholeNumbers(text.get_view(), Dtype::Int32, what + ", tokens");
                if (!ids)
                    return ids.error();
                datum.tokens.insert(datum.tokens.end(), ids->begin(), ids->end());
            }
        }
        return done();
    }

    Status readInput(pbf_reader entry, Datum& datum, std::size_t& budget, const std::string& what)
    {
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
        auto tensor = protoTensor(value, budget, what + ", " + name.substr(0, 100));
        if (!tensor)
            return tensor.error();
        if (datum.lossInputs.size() >= kMaxProtoEntries)
            return badTensor(what + " has more than 4096 tensors");
        datum.lossInputs[name] = *std::move(tensor);
        return done();
    }

    Result<Datum> protoDatum(pbf_reader reader, std::size_t& budget, const std::string& what)
    {
        Datum datum;
        while (reader.next()) {
            Status status = done();
            if (isField(reader, 1, kBytes))
                status = readChunk(reader.get_message(), datum, what);
            else if (isField(reader, 2, kBytes))
                status = readInput(reader.get_message(), datum, budget, what);
            else
                reader.skip(); // provenance: for losses that this backend does not have
            if (!status)
                return status.error();
        }
        return datum;
    }

    /// An entry of either configuration map.
    struct ConfigEntry
    {
        std::string key;
        std::optional<double> number;
        std::optional<std::string> text;
    };

    ConfigEntry configEntry(pbf_reader reader, bool isSecondForm)
    {
        ConfigEntry entry;
        entry.number = 0.0; // proto3 leaves zeros out
        while (reader.next()) {
            if (isField(reader, 1, kBytes)) {
                entry.key = protoText(reader, kMaxProtoName);
            } else if (!isSecondForm && isField(reader, 2, kFixed64)) {
                entry.number = reader.get_double();
            } else if (isSecondForm && isField(reader, 2, kBytes)) {
                auto value = reader.get_message();
                while (value.next()) {
                    if (isField(value, 1, kFixed64)) {
                        entry.number = value.get_double();
                        entry.text.reset();
                    } else if (isField(value, 2, kBytes)) {
                        entry.text = protoText(value, kMaxProtoText);
                        entry.number.reset();
                    } else {
                        value.skip();
                    }
                }
            } else {
                reader.skip();
            }
        }
        return entry;
    }

    Status addDatum(pbf_reader& reader, ForwardRequest& request, std::size_t& budget)
    {
        if (request.data.size() >= kMaxDatums)
            return badTensor("The forward pass has more than 65536 datums");
        auto datum = protoDatum(
            reader.get_message(), budget, "datum " + std::to_string(request.data.size()));
        if (!datum)
            return datum.error();
        if (auto status = takeElements(budget, datum->tokens.size()); !status)
            return status;
        request.data.push_back(*std::move(datum));
        return done();
    }

    Result<ForwardRequest> readForward(std::string_view bytes)
    {
        ForwardRequest request;
        request.isBackward = true;
        request.lossFn.clear();
        std::map<std::string, double> firstForm;
        bool hasSecondForm = false;
        std::size_t budget = kMaxBodyElements;
        std::size_t entries = 0;
        pbf_reader reader(bytes.data(), bytes.size());
        while (reader.next()) {
            switch (reader.tag_and_type()) {
            case tag_and_type(1, kBytes):
                request.modelId = protoText(reader, kMaxProtoName);
                break;
            case tag_and_type(2, kVarint):
                request.seqId = reader.get_int32();
                break;
            case tag_and_type(3, kBytes):
                if (auto status = addDatum(reader, request, budget); !status)
                    return status.error();
                break;
            case tag_and_type(4, kBytes):
                request.lossFn = protoText(reader, kMaxProtoName);
                break;
            case tag_and_type(5, kBytes):
            case tag_and_type(7, kBytes): {
                if (++entries > kMaxProtoEntries)
                    return badTensor("The forward pass has more than 4096 loss options");
                const bool isSecond = reader.tag() == 7;
                auto entry = configEntry(reader.get_message(), isSecond);
                hasSecondForm = hasSecondForm || isSecond;
                if (!isSecond)
                    firstForm[entry.key] = *entry.number;
                else if (entry.text)
                    request.lossTextConfig[entry.key] = *entry.text;
                else
                    request.lossConfig[entry.key] = *entry.number;
                break;
            }
            case tag_and_type(6, kVarint):
                request.isBackward = !reader.get_bool();
                break;
            default:
                reader.skip();
            }
        }
        if (!hasSecondForm)
            request.lossConfig = std::move(firstForm);
        if (request.modelId.empty())
            return badTensor("The forward pass has no model_id");
        if (request.lossFn.empty())
            return badTensor("The forward pass has no loss_fn");
        for (const auto& [key, value] : request.lossConfig)
            if (!std::isfinite(value))
                return badTensor("The loss option " + key.substr(0, 100) + " is not finite");
        return request;
    }

    template <class T>
    void addArray(pbf_writer& writer, protozero::pbf_tag_type tag, const std::vector<T>& values)
    {
        const void* bytes = values.data();
        writer.add_bytes(tag, static_cast<const char*>(bytes), values.size() * sizeof(T));
    }

    void addTensor(pbf_writer& writer, const TensorData& tensor)
    {
        const bool isInt = tensor.type == TensorType::Int64;
        if (isInt)
            addArray(writer, 1, tensor.ints);
        else
            addArray(writer, 1, tensor.floats);
        writer.add_enum(3, static_cast<std::int32_t>(isInt ? Dtype::Int64 : Dtype::Float32));
        const std::vector<std::int64_t> flat { static_cast<std::int64_t>(
            tensor.ints.size() + tensor.floats.size()) };
        const auto& shape = tensor.shape.empty() ? flat : tensor.shape;
        writer.add_packed_int64(4, shape.begin(), shape.end());
    }

    void addDatumTo(pbf_writer& writer, const Datum& datum)
    {
        std::vector<std::int32_t> tokens(datum.tokens.size());
        for (std::size_t i = 0; i < tokens.size(); ++i)
            tokens[i] = static_cast<std::int32_t>(datum.tokens[i]);
        {
            pbf_writer chunk(writer, 1);
            pbf_writer text(chunk, 1);
            addArray(text, 1, tokens);
        }
        for (const auto& [name, tensor] : datum.lossInputs) {
            pbf_writer entry(writer, 2);
            entry.add_string(1, name);
            pbf_writer value(entry, 2);
            addTensor(value, tensor);
        }
    }

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
        RawTensor raw;
        raw.values = { batch.data.data() + begin, static_cast<std::size_t>(end - begin) };
        raw.type = batch.type;
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
            auto values = wholeNumbers(raw.values, raw.type, what);
            if (!values)
                return values.error();
            tensor.ints = *std::move(values);
        } else {
            auto values = realNumbers(raw.values, raw.type, what);
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

    Error brokenMessage(const char* what, const std::exception& problem)
    {
        return badTensor(std::string(what) + " is no such message: " + problem.what());
    }

} // namespace

Result<ForwardRequest> decodeForwardProto(std::string_view bytes)
{
    try {
        return readForward(bytes);
    } catch (const protozero::exception& problem) {
        return brokenMessage("The forward pass", problem);
    }
}

Result<std::string> encodeForwardProto(const ForwardRequest& request)
{
    if (request.seqId < 0 || request.seqId > std::numeric_limits<std::int32_t>::max())
        return Error { Error::Code::Usage, "the sequence number does not fit the message", {}, {},
            {} };
    std::string bytes;
    pbf_writer writer(bytes);
    writer.add_string(1, request.modelId);
    writer.add_int32(2, static_cast<std::int32_t>(request.seqId));
    for (const auto& datum : request.data) {
        pbf_writer message(writer, 3);
        addDatumTo(message, datum);
    }
    writer.add_string(4, request.lossFn);
    for (const auto& [key, value] : request.lossConfig) {
        pbf_writer entry(writer, 5);
        entry.add_string(1, key);
        entry.add_double(2, value);
    }
    if (!request.isBackward)
        writer.add_bool(6, true);
    for (const auto& [key, value] : request.lossConfig) {
        pbf_writer entry(writer, 7);
        entry.add_string(1, key);
        pbf_writer number(entry, 2);
        number.add_double(1, value);
    }
    for (const auto& [key, value] : request.lossTextConfig) {
        pbf_writer entry(writer, 7);
        entry.add_string(1, key);
        pbf_writer text(entry, 2);
        text.add_string(2, value);
    }
    return bytes;
}

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
