// SPDX-License-Identifier: GPL-3.0-or-later
// forward, forward_backward and their results: the bodies that carry tensors. They are written by
// hand because a float's shortest text is half of what a double's takes.
#include "services/codecs/dense_tensor.h"
#include "services/codecs/json_read.h"
#include "services/codecs/trainer_codec.h"

#include <array>
#include <charconv>
#include <cmath>

namespace desk {
namespace {

    // Halfway between the largest float and the next: below it a double still rounds to a float.
    constexpr double kFloatLimit = 3.4028235677973366e38;

    template <class T>
    void appendNumber(std::string& out, T value)
    {
        std::array<char, 32> digits {};
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
        out.append(digits.data(), end);
    }

    template <class T>
    void appendArray(std::string& out, const std::vector<T>& values)
    {
        out += '[';
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (i > 0)
                out += ',';
            appendNumber(out, values[i]);
        }
        out += ']';
    }

    Status appendTensor(std::string& out, const TensorData& tensor)
    {
        const bool isInt = tensor.type == TensorType::Int64;
        out += R"({"data":)";
        if (isInt) {
            appendArray(out, tensor.ints);
        } else {
            for (const float value : tensor.floats) {
                if (!std::isfinite(value))
                    return malformed("a value is not finite");
            }
            appendArray(out, tensor.floats);
        }
        out += isInt ? R"(,"dtype":"int64","shape":)" : R"(,"dtype":"float32","shape":)";
        if (tensor.shape.empty())
            appendArray(
                out, std::vector<std::size_t> { tensor.ints.size() + tensor.floats.size() });
        else
            appendArray(out, tensor.shape);
        out += '}';
        return done();
    }

    Status appendTensors(std::string& out, const std::map<std::string, TensorData>& tensors)
    {
        out += '{';
        bool isFirst = true;
        for (const auto& [name, tensor] : tensors) {
            if (!isFirst)
                out += ',';
            isFirst = false;
            out += toText(Json(name)) + ':';
            if (const auto status = appendTensor(out, tensor); !status)
                return malformed("In tensor " + name + " " + status.error().message);
        }
        out += '}';
        return done();
    }

    Result<std::vector<std::int64_t>> intsOf(const Json& array, const std::string& what)
    {
        if (!array.is_array())
            return malformed(what + " is no array");
        std::vector<std::int64_t> values;
        values.reserve(array.size());
        for (const auto& element : array) {
            const bool isWhole = element.is_number_integer()
                || (element.is_number_float()
                    && std::abs(element.get<double>()) <= 9007199254740992.0
                    && element.get<double>() == std::floor(element.get<double>()));
            if (!isWhole)
                return malformed(what + " holds something else than whole numbers");
            values.push_back(element.get<std::int64_t>());
        }
        return values;
    }

    Result<std::vector<float>> floatsOf(const Json& array, const std::string& what)
    {
        std::vector<float> values;
        values.reserve(array.size());
        for (const auto& element : array) {
            if (!element.is_number())
                return malformed(what + " holds something else than numbers");
            const double value = element.get<double>();
            if (!(std::abs(value) < kFloatLimit))
                return malformed(what + " holds a number beyond float32");
            values.push_back(static_cast<float>(value));
        }
        return values;
    }

    template <class T>
    Status settle(std::vector<T>& target, Result<std::vector<T>> values, const Json& row,
        const TensorData& tensor, std::size_t& budget, const std::string& what)
    {
        if (!values)
            return values.error();
        const auto expected = elementCount(tensor.shape, what);
        if (!expected)
            return expected.error();
        const bool isSparse = findField(row, { "sparse_crow_indices" }) != nullptr;
        const auto wanted = isSparse ? static_cast<std::size_t>(*expected) : values->size();
        if (auto status = takeElements(budget, wanted); !status)
            return status;
        if (isSparse) {
            const auto* columns = findField(row, { "sparse_col_indices" });
            if (columns == nullptr)
                return malformed(what + " is sparse without columns");
            const auto crow = intsOf(*findField(row, { "sparse_crow_indices" }), what);
            const auto column = intsOf(*columns, what);
            if (!crow || !column)
                return crow ? column.error() : crow.error();
            values = densified(*values, *crow, *column, tensor.shape, what);
            if (!values)
                return values.error();
        }
        const auto count = static_cast<std::int64_t>(values->size());
        if (!tensor.shape.empty() && count != *expected)
            return malformed(what + " has " + std::to_string(count) + " values, its shape says "
                + std::to_string(*expected));
        target = *std::move(values);
        return done();
    }

    Result<TensorData> tensorFrom(const Json& row, std::size_t& budget, const std::string& what)
    {
        const auto* data = findField(row, { "data" });
        if (data == nullptr || !data->is_array())
            return malformed(what + " has no array of data");
        TensorData tensor;
        if (const auto* shape = findField(row, { "shape" }); shape != nullptr) {
            auto sizes = intsOf(*shape, what);
            if (!sizes)
                return sizes.error();
            tensor.shape = *std::move(sizes);
        }
        const auto type = readText(row, { "dtype" });
        if (type != "int64" && type != "float32")
            return malformed(what + " has the unknown dtype '" + type.substr(0, 50) + "'");
        tensor.type = type == "int64" ? TensorType::Int64 : TensorType::Float32;
        const auto status = tensor.type == TensorType::Int64
            ? settle(tensor.ints, intsOf(*data, what), row, tensor, budget, what)
            : settle(tensor.floats, floatsOf(*data, what), row, tensor, budget, what);
        if (!status)
            return status.error();
        if (tensor.shape.empty())
            tensor.shape = { static_cast<std::int64_t>(data->size()) };
        return tensor;
    }

    Result<std::map<std::string, TensorData>> tensorsFrom(
        const Json& row, std::size_t& budget, const std::string& what)
    {
        std::map<std::string, TensorData> tensors;
        if (!row.is_object())
            return malformed(what + " is no object of tensors");
        for (const auto& [name, value] : row.items()) {
            auto tensor = tensorFrom(value, budget, what + ", " + name.substr(0, 100));
            if (!tensor)
                return tensor.error();
            tensors.emplace(name, *std::move(tensor));
        }
        return tensors;
    }

    Result<Datum> datumFrom(const Json& row, std::size_t& budget, const std::string& what)
    {
        const auto* input = findField(row, { "model_input" });
        const auto* chunks = input == nullptr ? nullptr : findField(*input, { "chunks" });
        if (chunks == nullptr || !chunks->is_array())
            return malformed(what + ": model_input has no chunks");
        Datum datum;
        for (const auto& chunk : *chunks) {
            const auto type = readText(chunk, { "type" });
            const auto* tokens = findField(chunk, { "tokens" });
            if ((!type.empty() && type != "encoded_text") || tokens == nullptr)
                return malformed(what + ": only encoded_text chunks are understood, not '"
                    + type.substr(0, 50) + "'");
            const auto ids = intsOf(*tokens, what + ", tokens");
            if (!ids)
                return ids.error();
            datum.tokens.insert(datum.tokens.end(), ids->begin(), ids->end());
        }
        if (const auto* inputs = findField(row, { "loss_fn_inputs" }); inputs != nullptr) {
            auto tensors = tensorsFrom(*inputs, budget, what);
            if (!tensors)
                return tensors.error();
            datum.lossInputs = *std::move(tensors);
        }
        return datum;
    }

    Status appendDatum(std::string& out, const Datum& datum)
    {
        out += R"({"loss_fn_inputs":)";
        if (auto status = appendTensors(out, datum.lossInputs); !status)
            return status;
        out += R"(,"model_input":{"chunks":[{"tokens":)";
        appendArray(out, datum.tokens);
        out += R"(,"type":"encoded_text"}]}})";
        return done();
    }

    std::string lossConfigText(const ForwardRequest& request)
    {
        Json config = Json::object();
        for (const auto& [key, value] : request.lossConfig)
            config[key] = value;
        for (const auto& [key, value] : request.lossTextConfig)
            config[key] = value;
        return toText(config);
    }

} // namespace

TensorData intTensor(std::vector<std::int64_t> values)
{
    const auto count = static_cast<std::int64_t>(values.size());
    return { TensorType::Int64, std::move(values), {}, { count } };
}

TensorData floatTensor(std::vector<float> values)
{
    const auto count = static_cast<std::int64_t>(values.size());
    return { TensorType::Float32, {}, std::move(values), { count } };
}

Result<std::string> encodeForward(const ForwardRequest& request)
{
    std::string out = request.isBackward ? R"({"forward_backward_input":{"data":[)"
                                         : R"({"forward_input":{"data":[)";
    for (std::size_t i = 0; i < request.data.size(); ++i) {
        if (i > 0)
            out += ',';
        if (const auto status = appendDatum(out, request.data[i]); !status)
            return malformed("datum " + std::to_string(i) + ": " + status.error().message);
    }
    out += R"(],"loss_fn":)" + toText(Json(request.lossFn));
    if (!request.lossConfig.empty() || !request.lossTextConfig.empty())
        out += R"(,"loss_fn_config":)" + lossConfigText(request);
    out += R"(},"model_id":)" + toText(Json(request.modelId)) + R"(,"seq_id":)";
    appendNumber(out, request.seqId);
    out += '}';
    return out;
}

Result<ForwardRequest> decodeForward(std::string_view body)
{
    const auto object = parseObject(body, "forward pass", kTensorLimits);
    if (!object)
        return object.error();
    ForwardRequest request;
    request.isBackward = findField(*object, { "forward_backward_input" }) != nullptr;
    const auto* input = findField(*object, { "forward_backward_input", "forward_input" });
    const auto* rows = input == nullptr ? nullptr : findField(*input, { "data" });
    if (rows == nullptr || !rows->is_array())
        return malformed("The forward pass has no array of data");
    if (rows->size() > kMaxDatums)
        return malformed("The forward pass has more than 65536 datums");
    auto model = requireName(*object, { "model_id" }, "forward pass");
    if (!model)
        return model.error();
    auto loss = requireName(*input, { "loss_fn" }, "forward pass");
    if (!loss)
        return loss.error();
    request.modelId = *std::move(model);
    request.lossFn = *std::move(loss);
    request.seqId = readInt(*object, { "seq_id" }).value_or(0);
    request.lossConfig = readNumberMap(*input, { "loss_fn_config" });
    request.lossTextConfig = readTextMap(*input, { "loss_fn_config" });
    if (const auto* config = findField(*input, { "loss_fn_config" }); config != nullptr)
        for (const auto& [key, value] : config->items())
            if (value.is_boolean())
                request.lossTextConfig[key] = value.get<bool>() ? "true" : "false";
    request.data.reserve(rows->size());
    std::size_t budget = kMaxBodyElements;
    for (const auto& row : *rows) {
        auto datum = datumFrom(row, budget, "datum " + std::to_string(request.data.size()));
        if (!datum)
            return datum.error();
        request.data.push_back(*std::move(datum));
    }
    return request;
}

Result<std::string> encodeForwardResult(const ForwardResult& result)
{
    std::string out =
        R"({"loss_fn_output_type":)" + toText(Json(result.outputType)) + R"(,"loss_fn_outputs":[)";
    for (std::size_t i = 0; i < result.outputs.size(); ++i) {
        if (i > 0)
            out += ',';
        if (const auto status = appendTensors(out, result.outputs[i]); !status)
            return malformed("output " + std::to_string(i) + ": " + status.error().message);
    }
    Json metrics = Json::object();
    for (const auto& [key, value] : result.metrics) {
        if (!std::isfinite(value))
            return malformed("The metric " + key + " is not finite");
        metrics[key] = value;
    }
    return out + R"(],"metrics":)" + toText(metrics) + '}';
}

Result<ForwardResult> decodeForwardResult(std::string_view body)
{
    const auto object = parseObject(body, "result of the forward pass", kTensorLimits);
    if (!object)
        return object.error();
    const auto* rows = findField(*object, { "loss_fn_outputs" });
    if (rows == nullptr || !rows->is_array())
        return malformed("The result of the forward pass has no loss_fn_outputs");
    ForwardResult result;
    result.outputType = readText(*object, { "loss_fn_output_type" });
    result.metrics = readNumberMap(*object, { "metrics" });
    std::size_t budget = kMaxBodyElements;
    for (const auto& row : *rows) {
        auto tensors = tensorsFrom(row, budget, "output " + std::to_string(result.outputs.size()));
        if (!tensors)
            return tensors.error();
        result.outputs.push_back(*std::move(tensors));
    }
    return result;
}

} // namespace desk
