// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/sample_codec.h"

#include "services/codecs/json_read.h"

#include <cmath>
#include <limits>

namespace desk {
namespace {

    constexpr int kMaxSamples = 1024;
    constexpr int kMaxTopk = 256;
    constexpr std::size_t kMaxStopEntries = 64;

    Error refusedSample(std::string message)
    {
        return { Error::Code::Refused, std::move(message), "Nothing was sampled", {}, {} };
    }

    Result<std::vector<std::int64_t>> sampleInts(const Json& value, const char* what)
    {
        if (!value.is_array())
            return malformed(std::string(what) + " is no list");
        std::vector<std::int64_t> ints;
        ints.reserve(value.size());
        for (const auto& element : value) {
            if (!element.is_number_integer())
                return malformed(std::string(what) + " holds something else than whole numbers");
            ints.push_back(element.get<std::int64_t>());
        }
        return ints;
    }

    Status readSamplePrompt(const Json& object, SampleRequest& request)
    {
        const auto* prompt = findField(object, { "prompt" });
        const auto* chunks = prompt != nullptr ? findField(*prompt, { "chunks" }) : nullptr;
        if (chunks == nullptr || !chunks->is_array())
            return malformed("The sample request has no prompt with chunks");
        for (const auto& chunk : *chunks) {
            const auto type = readText(chunk, { "type" });
            if (!type.empty() && type != "encoded_text")
                return refusedSample("the prompt has a chunk of type " + type.substr(0, 40)
                    + "; this backend samples from token ids only");
            const auto* field = findField(chunk, { "tokens" });
            if (field == nullptr)
                return malformed("A chunk of the prompt has no tokens");
            auto tokens = sampleInts(*field, "tokens");
            if (!tokens)
                return tokens.error();
            request.prompt.insert(request.prompt.end(), tokens->begin(), tokens->end());
        }
        return done();
    }

    Status readSampleStop(const Json& params, SampleRequest& request)
    {
        const auto* stop = findField(params, { "stop" });
        if (stop == nullptr)
            return done();
        request.hasStop = true;
        if (stop->is_string()) {
            request.stopTexts = { stop->get<std::string>() };
            return done();
        }
        if (!stop->is_array())
            return malformed("stop is neither a text nor a list");
        if (stop->size() > kMaxStopEntries)
            return refusedSample(
                "stop has more than " + std::to_string(kMaxStopEntries) + " entries");
        for (const auto& entry : *stop) {
            if (entry.is_string())
                request.stopTexts.push_back(entry.get<std::string>());
            else if (entry.is_number_integer())
                request.stopTokens.push_back(entry.get<std::int64_t>());
            else
                return malformed("stop holds something else than texts and token ids");
        }
        return done();
    }

    std::optional<std::uint64_t> seedFrom(const Json& params)
    {
        const auto* field = findField(params, { "seed" });
        if (field != nullptr && field->is_number_unsigned())
            return field->get<std::uint64_t>();
        if (const auto seed = readInt(params, { "seed" }))
            return static_cast<std::uint64_t>(*seed);
        return std::nullopt;
    }

    Status readSampleParams(const Json& object, SampleRequest& request)
    {
        const auto* params = findField(object, { "sampling_params" });
        if (params == nullptr)
            return done();
        for (const char* key : { "max_tokens", "top_k", "seed" })
            if (const auto* field = findField(*params, { key });
                field != nullptr && !field->is_number_integer() && !readInt(*params, { key }))
                return malformed(std::string(key) + " is not a whole number");
        request.maxTokens = readInt(*params, { "max_tokens" });
        request.seed = seedFrom(*params);
        request.temperature = readNumber(*params, { "temperature" }).value_or(1.0);
        request.topK = readInt(*params, { "top_k" }).value_or(-1);
        request.topP = readNumber(*params, { "top_p" }).value_or(1.0);
        if (request.maxTokens && *request.maxTokens < 1)
            return refusedSample("max_tokens must be 1 or more");
        if (!(request.temperature >= 0))
            return refusedSample("temperature must be 0 or more");
        if (!(request.topP > 0) || request.topP > 1)
            return refusedSample("top_p must be above 0 and at most 1");
        if (request.topK < -1)
            return refusedSample("top_k must be -1 (off) or more");
        return readSampleStop(*params, request);
    }

    Status expandSparse(const Json& tensor, PromptTargets& targets)
    {
        auto starts =
            sampleInts(*findField(tensor, { "sparse_crow_indices" }), "sparse_crow_indices");
        const auto* columns = findField(tensor, { "sparse_col_indices" });
        if (!starts || columns == nullptr)
            return malformed("target_prompt_logprobs has no full set of sparse indices");
        auto indices = sampleInts(*columns, "sparse_col_indices");
        if (!indices)
            return indices.error();
        const auto rows = static_cast<std::size_t>(targets.rows);
        if (starts->size() != rows + 1 || starts->front() != 0
            || starts->back() != static_cast<std::int64_t>(targets.tokens.size())
            || indices->size() != targets.tokens.size())
            return malformed("the sparse indices of target_prompt_logprobs do not fit its shape");
        std::vector<std::int64_t> dense(rows * static_cast<std::size_t>(targets.columns), -1);
        for (std::size_t row = 0; row < rows; ++row) {
            if ((*starts)[row] > (*starts)[row + 1])
                return malformed("sparse_crow_indices of target_prompt_logprobs falls");
            for (auto at = (*starts)[row]; at < (*starts)[row + 1]; ++at) {
                const auto index = static_cast<std::size_t>(at);
                const auto column = (*indices)[index];
                if (column < 0 || column >= targets.columns)
                    return malformed(
                        "sparse_col_indices of target_prompt_logprobs is out of range");
                dense[row * static_cast<std::size_t>(targets.columns)
                    + static_cast<std::size_t>(column)] = targets.tokens[index];
            }
        }
        targets.tokens = std::move(dense);
        targets.isSparse = true;
        targets.rowStarts = *std::move(starts);
        targets.columnIndices = *std::move(indices);
        return done();
    }

    Status readTargets(const Json& object, SampleRequest& request)
    {
        const auto* tensor = findField(object, { "target_prompt_logprobs" });
        if (tensor == nullptr)
            return done();
        const auto* data = findField(*tensor, { "data" });
        const auto* shape = findField(*tensor, { "shape" });
        if (data == nullptr || shape == nullptr)
            return malformed("target_prompt_logprobs needs data and a shape [len(prompt) - 1, K]");
        auto values = sampleInts(*data, "target_prompt_logprobs");
        auto sizes = sampleInts(*shape, "the shape of target_prompt_logprobs");
        if (!values || !sizes)
            return !values ? values.error() : sizes.error();
        PromptTargets targets;
        const auto rows = request.prompt.empty() ? 0 : request.prompt.size() - 1;
        if (sizes->size() != 2 || (*sizes)[0] != static_cast<std::int64_t>(rows) || (*sizes)[1] < 1
            || (*sizes)[1] > kMaxTopk)
            return refusedSample("target_prompt_logprobs must have the shape [len(prompt) - 1, K] "
                                 "with K up to "
                + std::to_string(kMaxTopk));
        targets.rows = (*sizes)[0];
        targets.columns = (*sizes)[1];
        targets.tokens = *std::move(values);
        if (findField(*tensor, { "sparse_crow_indices" }) != nullptr) {
            if (auto status = expandSparse(*tensor, targets); !status)
                return status;
        } else if (targets.tokens.size() != rows * static_cast<std::size_t>(targets.columns)) {
            return malformed(
                "target_prompt_logprobs holds another number of values than its shape");
        }
        request.targets = std::move(targets);
        return done();
    }

    Status readScores(const Json& object, SampleRequest& request)
    {
        request.wantsPromptLogprobs = readBool(object, { "prompt_logprobs" }, false);
        request.topkPromptLogprobs = readSmallInt(object, { "topk_prompt_logprobs" }).value_or(0);
        request.topkSampleLogprobs = readSmallInt(object, { "topk_sample_logprobs" }).value_or(0);
        request.promptAltTokens = readSmallInt(object, { "prompt_alt_tokens_k" }).value_or(0);
        const auto lastN = readInt(object, { "prompt_logprobs_last_n" });
        for (const int count :
            { request.topkPromptLogprobs, request.topkSampleLogprobs, request.promptAltTokens })
            if (count < 0 || count > kMaxTopk)
                return refusedSample("topk_prompt_logprobs, topk_sample_logprobs and "
                                     "prompt_alt_tokens_k take 0 to "
                    + std::to_string(kMaxTopk));
        if (lastN) {
            if (!request.wantsPromptLogprobs)
                return refusedSample("prompt_logprobs_last_n needs prompt_logprobs");
            if (*lastN < 1 || *lastN >= static_cast<std::int64_t>(request.prompt.size()))
                return refusedSample(
                    "prompt_logprobs_last_n must be from 1 to the length of the prompt less 1");
            request.promptLogprobsLastN = static_cast<int>(*lastN);
        }
        return readTargets(object, request);
    }

    Json stopJson(const SampleRequest& request)
    {
        Json stop = Json::array();
        for (const auto& text : request.stopTexts)
            stop.push_back(text);
        for (const auto token : request.stopTokens)
            stop.push_back(token);
        return stop;
    }

    Json targetsJson(const PromptTargets& targets)
    {
        Json tensor;
        tensor["data"] = targets.tokens;
        tensor["dtype"] = "int64";
        tensor["shape"] = { targets.rows, targets.columns };
        return tensor;
    }

    Json floatsJson(const std::vector<float>& values)
    {
        Json list = Json::array();
        for (const float value : values)
            list.push_back(std::isfinite(value) ? Json(static_cast<double>(value)) : Json(nullptr));
        return list;
    }

    Json topkJson(const SampleTopk& topk)
    {
        Json rows = Json::array();
        const auto k = static_cast<std::size_t>(topk.k);
        for (std::size_t at = 0; k > 0 && at + k <= topk.tokens.size(); at += k) {
            Json row = Json::array();
            for (std::size_t i = at; i < at + k; ++i)
                if (topk.logprobs[i] > kNoTopLogprob)
                    row.push_back(Json { topk.tokens[i], static_cast<double>(topk.logprobs[i]) });
            rows.push_back(row.empty() ? Json(nullptr) : std::move(row));
        }
        return rows;
    }

    std::vector<float> floatsFrom(const Json& list)
    {
        std::vector<float> values;
        for (const auto& value : list)
            values.push_back(
                value.is_number() ? value.get<float>() : std::numeric_limits<float>::quiet_NaN());
        return values;
    }

    std::optional<SampleTopk> topkFrom(const Json* rows)
    {
        if (rows == nullptr || !rows->is_array())
            return std::nullopt;
        SampleTopk topk;
        for (const auto& row : *rows)
            if (row.is_array())
                topk.k =
                    std::max(topk.k, static_cast<int>(std::min<std::size_t>(row.size(), kMaxTopk)));
        const auto k = static_cast<std::size_t>(topk.k);
        for (const auto& row : *rows)
            for (std::size_t i = 0; i < k; ++i) {
                const bool isGiven = row.is_array() && i < row.size() && row[i].is_array()
                    && row[i].size() == 2 && row[i][0].is_number_integer() && row[i][1].is_number();
                topk.tokens.push_back(isGiven ? row[i][0].get<std::int32_t>() : 0);
                topk.logprobs.push_back(isGiven ? row[i][1].get<float>() : kNoTopLogprob);
            }
        return topk;
    }

    Json sequenceJson(const SampledSequence& sequence)
    {
        Json row;
        row["stop_reason"] = sequence.isStopped ? "stop" : "length";
        row["tokens"] = sequence.tokens;
        row["logprobs"] = floatsJson(sequence.logprobs);
        if (sequence.topk)
            row["topk_logprobs"] = topkJson(*sequence.topk);
        return row;
    }

} // namespace

std::string encodeCreateSamplingSession(const CreateSamplingSession& request)
{
    Json body;
    body["session_id"] = request.sessionId;
    body["sampling_session_seq_id"] = request.sequence;
    putText(body, "base_model", request.baseModel);
    putText(body, "model_path", request.modelPath);
    body["type"] = "create_sampling_session";
    return toText(body);
}

Result<CreateSamplingSession> decodeCreateSamplingSession(std::string_view body)
{
    const auto object = parseObject(body, "sampling session");
    if (!object)
        return object.error();
    auto session = requireName(*object, { "session_id" }, "sampling session");
    if (!session)
        return session.error();
    CreateSamplingSession request;
    request.sessionId = *std::move(session);
    request.sequence = readInt(*object, { "sampling_session_seq_id" }).value_or(0);
    request.baseModel = readText(*object, { "base_model" });
    request.modelPath = readText(*object, { "model_path" });
    if (request.baseModel.empty() && request.modelPath.empty())
        return refusedSample("a sampling session needs base_model or model_path");
    return request;
}

std::string encodeSamplingSessionCreated(std::string_view samplingSessionId)
{
    return toText(Json { { "type", "create_sampling_session" },
        { "sampling_session_id", std::string(samplingSessionId) } });
}

Result<std::string> decodeSamplingSessionCreated(std::string_view body)
{
    const auto object = parseObject(body, "sampling session");
    if (!object)
        return object.error();
    return requireName(*object, { "sampling_session_id" }, "sampling session");
}

Result<std::string> decodeJoinSamplingSession(std::string_view body)
{
    return decodeSamplingSessionCreated(body);
}

std::string encodeSamplingSessionJoined(std::int64_t clientCounter)
{
    return toText(
        Json { { "type", "join_sampling_session" }, { "client_counter", clientCounter } });
}

std::string encodeSample(const SampleRequest& request)
{
    Json body;
    body["num_samples"] = request.numSamples;
    body["prompt"]["chunks"] =
        Json::array({ Json { { "tokens", request.prompt }, { "type", "encoded_text" } } });
    Json params;
    putKnown(params, "max_tokens", request.maxTokens);
    putKnown(params, "seed", request.seed);
    if (request.hasStop)
        params["stop"] = stopJson(request);
    params["temperature"] = request.temperature;
    params["top_k"] = request.topK;
    params["top_p"] = request.topP;
    body["sampling_params"] = std::move(params);
    body["sampling_session_id"] = request.samplingSessionId;
    body["seq_id"] = request.seqId;
    body["prompt_logprobs"] = request.wantsPromptLogprobs;
    body["topk_prompt_logprobs"] = request.topkPromptLogprobs;
    body["topk_sample_logprobs"] = request.topkSampleLogprobs;
    if (request.targets)
        body["target_prompt_logprobs"] = targetsJson(*request.targets);
    body["prompt_alt_tokens_k"] = request.promptAltTokens;
    if (request.promptLogprobsLastN > 0)
        body["prompt_logprobs_last_n"] = request.promptLogprobsLastN;
    body["type"] = "sample";
    return toText(body);
}

Result<SampleRequest> decodeSample(std::string_view body)
{
    const auto object = parseObject(body, "sample request", kTensorLimits);
    if (!object)
        return object.error();
    SampleRequest request;
    auto session = requireName(*object, { "sampling_session_id" }, "sample request");
    if (!session)
        return session.error();
    request.samplingSessionId = *std::move(session);
    const auto sequence = readInt(*object, { "seq_id" });
    if (!sequence || *sequence < 0)
        return malformed("The sample request has no seq_id");
    request.seqId = *sequence;
    request.numSamples = readSmallInt(*object, { "num_samples" }).value_or(1);
    if (request.numSamples < 1 || request.numSamples > kMaxSamples)
        return refusedSample("num_samples must be from 1 to " + std::to_string(kMaxSamples));
    if (auto status = readSamplePrompt(*object, request); !status)
        return status.error();
    if (auto status = readSampleParams(*object, request); !status)
        return status.error();
    if (auto status = readScores(*object, request); !status)
        return status.error();
    return request;
}

std::string encodeSampleTicket(const SampleTicket& ticket)
{
    return toText(
        Json { { "request_id", ticket.requestId }, { "sample_sequence_ids", ticket.sequenceIds } });
}

Result<SampleTicket> decodeSampleTicket(std::string_view body)
{
    const auto object = parseObject(body, "sample ticket");
    if (!object)
        return object.error();
    auto id = requireName(*object, { "request_id" }, "sample ticket");
    if (!id)
        return id.error();
    return SampleTicket { *std::move(id), readTexts(*object, { "sample_sequence_ids" }) };
}

std::string encodeSampleResult(const SampleResult& result)
{
    Json body;
    body["type"] = "sample";
    Json sequences = Json::array();
    for (const auto& sequence : result.sequences)
        sequences.push_back(sequenceJson(sequence));
    body["sequences"] = std::move(sequences);
    body["prompt_logprobs"] =
        result.promptLogprobs ? floatsJson(*result.promptLogprobs) : Json(nullptr);
    body["topk_prompt_logprobs"] = result.topkPrompt ? topkJson(*result.topkPrompt) : Json(nullptr);
    body["prompt_cache_hit_tokens"] = result.cachedPromptTokens;
    return toText(body);
}

Result<SampleResult> decodeSampleResult(std::string_view body)
{
    const auto object = parseObject(body, "sample result", kTensorLimits);
    if (!object)
        return object.error();
    const auto* sequences = findField(*object, { "sequences" });
    if (sequences == nullptr || !sequences->is_array())
        return malformed("The sample result has no sequences");
    SampleResult result;
    for (const auto& row : *sequences) {
        SampledSequence sequence;
        sequence.isStopped = readText(row, { "stop_reason" }) == "stop";
        const auto* tokens = findField(row, { "tokens" });
        if (tokens == nullptr)
            return malformed("A sequence of the sample result has no tokens");
        auto ids = sampleInts(*tokens, "tokens");
        if (!ids)
            return ids.error();
        for (const auto id : *ids)
            sequence.tokens.push_back(static_cast<std::int32_t>(id));
        if (const auto* logprobs = findField(row, { "logprobs" });
            logprobs != nullptr && logprobs->is_array())
            sequence.logprobs = floatsFrom(*logprobs);
        sequence.topk = topkFrom(findField(row, { "topk_logprobs" }));
        result.sequences.push_back(std::move(sequence));
    }
    if (const auto* list = findField(*object, { "prompt_logprobs" });
        list != nullptr && list->is_array())
        result.promptLogprobs = floatsFrom(*list);
    result.topkPrompt = topkFrom(findField(*object, { "topk_prompt_logprobs" }));
    result.cachedPromptTokens = readSmallInt(*object, { "prompt_cache_hit_tokens" }).value_or(0);
    return result;
}

std::string encodeSamplerInfo(const SamplerInfo& info)
{
    Json body { { "sampler_id", info.samplerId }, { "base_model", info.baseModel } };
    putText(body, "model_path", info.modelPath);
    return toText(body);
}

Result<SamplerInfo> decodeSamplerInfo(std::string_view body)
{
    const auto object = parseObject(body, "sampler");
    if (!object)
        return object.error();
    auto base = requireName(*object, { "base_model" }, "sampler");
    if (!base)
        return base.error();
    return SamplerInfo { readText(*object, { "sampler_id" }), *std::move(base),
        readText(*object, { "model_path" }) };
}

std::string encodeRetrieveFutures(const RetrieveFutures& request)
{
    Json body;
    body["target"] =
        Json { { "type", "sampling_session" }, { "sampling_session_id", request.samplingSessionId },
            { "cloned_sampler_id", request.clone } };
    body["prev_cursor"] = request.cursor;
    putKnown(body, "timeout", request.timeout);
    body["retrieved_request_ids"] = request.retrieved;
    return toText(body);
}

Result<RetrieveFutures> decodeRetrieveFutures(std::string_view body)
{
    const auto object = parseObject(body, "request for completions");
    if (!object)
        return object.error();
    const auto* target = findField(*object, { "target" });
    if (target == nullptr)
        return malformed("The request for completions names no target");
    auto session = requireName(*target, { "sampling_session_id" }, "target");
    if (!session)
        return session.error();
    RetrieveFutures request;
    request.samplingSessionId = *std::move(session);
    request.clone = readInt(*target, { "cloned_sampler_id" }).value_or(0);
    request.cursor = readInt(*object, { "prev_cursor" }).value_or(0);
    request.timeout = readNumber(*object, { "timeout" });
    request.retrieved = readTexts(*object, { "retrieved_request_ids" });
    return request;
}

std::string encodeFutureCompletions(const FutureCompletions& completions)
{
    Json rows = Json::array();
    for (const auto& completion : completions.completions) {
        Json row { { "state", completion.isFailed ? "failed" : "finished" },
            { "request_id", completion.requestId } };
        putKnown(row, "response_payload_uncompressed_size", completion.bytes);
        rows.push_back(std::move(row));
    }
    Json body;
    body["completions"] = std::move(rows);
    body["cursor"] = completions.cursor;
    return toText(body);
}

Result<FutureCompletions> decodeFutureCompletions(std::string_view body)
{
    const auto object = parseObject(body, "list of completions");
    if (!object)
        return object.error();
    const auto* rows = findField(*object, { "completions" });
    if (rows == nullptr || !rows->is_array())
        return malformed("The list of completions has none");
    FutureCompletions completions;
    for (const auto& row : *rows)
        completions.completions.push_back(
            { readText(row, { "request_id" }), readText(row, { "state" }) == "failed",
                readInt(row, { "response_payload_uncompressed_size" }) });
    completions.cursor = readInt(*object, { "cursor" }).value_or(0);
    return completions;
}

} // namespace desk
