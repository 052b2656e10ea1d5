// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/tinker_proto.h"

#include "services/codecs/dense_tensor.h"
#include "services/codecs/proto_parts.h"

#include <cmath>
#include <limits>

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

    using protozero::tag_and_type;

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

} // namespace desk
