// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/completions_codec.h"
#include "services/codecs/hotload_codec.h"
#include "services/codecs/sample_proto.h"
#include "tests/support/check.h"

#include <array>
#include <cmath>
#include <limits>
#include <string>

using namespace desk;

namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

std::string bytesOfHex(std::string_view hex)
{
    std::string bytes;
    int high = -1;
    for (const char c : hex) {
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            continue;
        if (high < 0) {
            high = digit;
        } else {
            bytes.push_back(static_cast<char>(high * 16 + digit));
            high = -1;
        }
    }
    return bytes;
}

SampleResult exampleOf17_3()
{
    SampleResult result;
    SampledSequence sequence;
    sequence.isStopped = true;
    sequence.tokens = { 7, 2 };
    sequence.logprobs = { -0.5F, -1.5F };
    result.sequences = { sequence };
    result.promptLogprobs = { kNone, -0.25F };
    result.topkPrompt =
        SampleTopk { 2, { 0, 0, 9, 4 }, { kNoTopLogprob, kNoTopLogprob, -0.25F, -2.0F } };
    return result;
}

// The example of tinker-0.38.md section 17.3, 74 bytes.
TEST(the_example_message_byte_for_byte)
{
    const auto wanted = bytesOfHex(R"(
        0a 14 12 08 07000000 02000000  1a 08 000000bf 0000c0bf
        12 08 0000c07f 000080be
        1a 28 0a 10 00000000 00000000 09000000 04000000
              12 10 804fc3c7 804fc3c7 000080be 000000c0
              18 02 20 02)");
    CHECK_EQUAL(wanted.size(), std::size_t { 74 });
    CHECK(encodeSampleProto(exampleOf17_3()) == wanted);
    const auto read = decodeSampleProto(wanted);
    CHECK(read.has_value());
    CHECK_EQUAL(read->sequences.size(), std::size_t { 1 });
    CHECK(read->sequences[0].isStopped);
    CHECK(read->sequences[0].tokens == std::vector<std::int32_t>({ 7, 2 }));
    CHECK(read->sequences[0].logprobs == std::vector<float>({ -0.5F, -1.5F }));
    CHECK(std::isnan(read->promptLogprobs->at(0)));
    CHECK_EQUAL(read->promptLogprobs->at(1), -0.25F);
    CHECK(*read->topkPrompt == *exampleOf17_3().topkPrompt);
}

TEST(proto_carries_everything_and_survives_damage)
{
    auto result = exampleOf17_3();
    result.sequences[0].isStopped = false;
    result.sequences[0].topk = SampleTopk { 1, { 7, 2 }, { -0.5F, -1.5F } };
    result.cachedPromptTokens = 3;
    result.altTokens = 2;
    result.promptAltTokens = { 5, 6 };
    result.promptAltLogprobs = { -1.0F, -2.0F };
    PromptTargets sparse;
    sparse.rows = 2;
    sparse.columns = 3;
    sparse.tokens = { -1, 8, -1, 9, -1, -1 };
    sparse.isSparse = true;
    sparse.rowStarts = { 0, 1, 2 };
    sparse.columnIndices = { 1, 0 };
    result.targets = sparse;
    result.targetLogprobs = { kNone, -3.0F, kNone, -4.0F, kNone, kNone };
    const auto bytes = encodeSampleProto(result);
    const auto read = decodeSampleProto(bytes);
    CHECK(read.has_value());
    CHECK(!read->sequences[0].isStopped);
    CHECK(*read->sequences[0].topk == *result.sequences[0].topk);
    CHECK_EQUAL(read->cachedPromptTokens, 3);
    CHECK(read->promptAltTokens == result.promptAltTokens);
    CHECK(read->promptAltLogprobs == result.promptAltLogprobs);
    // In the layout of the request: the listed cells only.
    CHECK(read->targets->isSparse);
    CHECK(read->targetLogprobs == std::vector<float>({ -3.0F, -4.0F }));
    CHECK(read->targets->rowStarts == sparse.rowStarts);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        auto damaged = bytes;
        damaged[cut] = static_cast<char>(damaged[cut] ^ 0x5A);
        (void)decodeSampleProto(damaged);
        (void)decodeSampleProto(bytes.substr(0, cut));
    }
    CHECK(!decodeSampleProto("\x0a\x05\x12").has_value());
}

TEST(json_result_for_older_clients)
{
    const auto text = encodeSampleResult(exampleOf17_3());
    CHECK_EQUAL(text,
        std::string(R"({"type":"sample","sequences":[{"stop_reason":"stop","tokens":[7,2],)"
                    R"("logprobs":[-0.5,-1.5]}],"prompt_logprobs":[null,-0.25],)"
                    R"("topk_prompt_logprobs":[null,[[9,-0.25],[4,-2.0]]],)"
                    R"("prompt_cache_hit_tokens":0})"));
    const auto read = decodeSampleResult(text);
    CHECK(read.has_value());
    CHECK(*read->topkPrompt == *exampleOf17_3().topkPrompt);
    CHECK(encodeSampleResult(*read) == text);
}

// The request of tinker-0.38.md section 13.2 and that of trainer.md section 7.2.
TEST(sample_requests_of_both_clients)
{
    const auto newer = decodeSample(
        R"({"num_samples": 2, "prompt": {"chunks": [{"tokens": [1, 2], "type": "encoded_text"}]},
        "sampling_params": {"max_tokens": 4, "seed": 18446744073709551615, "stop": [5, 6],
        "temperature": 1.0, "top_k": -1, "top_p": 1.0},
        "sampling_session_id": "s1:sample:0", "seq_id": 966634389000000000, "prompt_logprobs": true,
        "topk_prompt_logprobs": 2, "topk_sample_logprobs": 2,
        "target_prompt_logprobs": {"data": [1, -1], "dtype": "int64", "shape": [1, 2]},
        "prompt_alt_tokens_k": 0, "prompt_logprobs_last_n": 1, "record_stability_info": false,
        "type": "sample"})");
    CHECK(newer.has_value());
    CHECK_EQUAL(newer->seqId, 966'634'389'000'000'000);
    CHECK(*newer->seed == std::numeric_limits<std::uint64_t>::max());
    CHECK(newer->stopTokens == std::vector<std::int64_t>({ 5, 6 }));
    CHECK(newer->targets->tokens == std::vector<std::int64_t>({ 1, -1 }));
    CHECK_EQUAL(newer->promptLogprobsLastN, 1);
    CHECK(*decodeSample(encodeSample(*newer)) == *newer);

    const auto older = decodeSample(
        R"({"num_samples":1,"prompt":{"chunks":[{"tokens":[1],"type":"encoded_text"},
        {"tokens":[2],"type":"encoded_text"}]},"sampling_params":{"stop":"a","temperature":0.7,
        "top_k":-1,"top_p":1.0},"sampling_session_id":"s","seq_id":0,"type":"sample"})");
    CHECK(older.has_value());
    CHECK(older->prompt == std::vector<std::int64_t>({ 1, 2 }));
    CHECK(older->stopTexts == std::vector<std::string>({ "a" }));
    CHECK(!older->maxTokens && !older->seed);

    const auto never = decodeSample(R"({"prompt":{"chunks":[{"tokens":[1]}]},)"
                                    R"("sampling_params":{"stop":[]},)"
                                    R"("sampling_session_id":"s","seq_id":1})");
    CHECK(never->hasStop && never->stopTexts.empty() && never->stopTokens.empty());
}

TEST(sample_requests_that_are_refused)
{
    const auto isRefused = [](const std::string& fields) {
        return !decodeSample(R"({"sampling_session_id":"s","seq_id":1,"prompt":{"chunks":)"
                             R"([{"tokens":[1,2,3]}]})"
            + fields + "}");
    };
    CHECK(!isRefused(""));
    const std::array<const char*, 11> refused { R"(,"num_samples":0)", R"(,"num_samples":2000)",
        R"(,"sampling_params":{"max_tokens":0})", R"(,"sampling_params":{"max_tokens":"x"})",
        R"(,"sampling_params":{"temperature":-1})", R"(,"sampling_params":{"top_p":1.5})",
        R"(,"sampling_params":{"stop":[{}]})", R"(,"prompt_logprobs_last_n":1)",
        R"(,"prompt_logprobs":true,"prompt_logprobs_last_n":3)", R"(,"topk_prompt_logprobs":9999)",
        R"(,"target_prompt_logprobs":{"data":[1],"shape":[1,1]})" };
    for (const char* fields : refused)
        CHECK(isRefused(fields));
    CHECK(!decodeSample(R"({"sampling_session_id":"s","seq_id":1,"prompt":{"chunks":)"
                        R"([{"type":"image","data":""}]}})"));
    CHECK(!decodeSample(R"({"sampling_session_id":"s","prompt":{"chunks":[]}})"));
}

TEST(sparse_targets_become_dense)
{
    const auto read = decodeSample(
        R"({"sampling_session_id":"s","seq_id":1,"prompt":{"chunks":[{"tokens":[1,2,3]}]},
        "target_prompt_logprobs":{"data":[8,9],"dtype":"int64","shape":[2,3],
        "sparse_crow_indices":[0,1,2],"sparse_col_indices":[1,0]}})");
    CHECK(read.has_value());
    CHECK(read->targets->tokens == std::vector<std::int64_t>({ -1, 8, -1, 9, -1, -1 }));
    for (const char* indices : { "[0,1]", "[0,2,1]", "[1,1,2]", "[0,1,3]" })
        CHECK(!decodeSample(R"({"sampling_session_id":"s","seq_id":1,"prompt":{"chunks":)"
                            R"([{"tokens":[1,2,3]}]},"target_prompt_logprobs":{"data":[8,9],)"
                            R"("shape":[2,3],"sparse_crow_indices":)"
            + std::string(indices) + R"(,"sparse_col_indices":[1,0]}})"));
}

TEST(sessions_tickets_and_completion_lists)
{
    const CreateSamplingSession wanted { "s1", 3, {}, "tinker://s1:train:0/sampler_weights/w" };
    CHECK(*decodeCreateSamplingSession(encodeCreateSamplingSession(wanted)) == wanted);
    CHECK(!decodeCreateSamplingSession(R"({"session_id":"s"})"));
    CHECK_EQUAL(*decodeSamplingSessionCreated(encodeSamplingSessionCreated("s1:sample:3")),
        std::string("s1:sample:3"));
    const SampleTicket ticket { "r1", { "r1:0", "r1:1" } };
    CHECK_EQUAL(encodeSampleTicket(ticket),
        std::string(R"({"request_id":"r1","sample_sequence_ids":["r1:0","r1:1"]})"));
    CHECK(*decodeSampleTicket(encodeSampleTicket(ticket)) == ticket);
    const SamplerInfo info { "s1:sample:3", "b", {} };
    CHECK(*decodeSamplerInfo(encodeSamplerInfo(info)) == info);
    const RetrieveFutures poll { "s1:sample:0", 7, 2, 0.0, { "r1" } };
    CHECK(*decodeRetrieveFutures(encodeRetrieveFutures(poll)) == poll);
    const FutureCompletions list { { { "r1", false, 24 }, { "r2", true, std::nullopt } }, 3 };
    CHECK_EQUAL(encodeFutureCompletions(list),
        std::string(R"({"completions":[{"state":"finished","request_id":"r1",)"
                    R"("response_payload_uncompressed_size":24},)"
                    R"({"state":"failed","request_id":"r2"}],"cursor":3})"));
    CHECK(*decodeFutureCompletions(encodeFutureCompletions(list)) == list);
}

TEST(completion_requests_in_every_form)
{
    // What the SDK sends, fireworks-sdk-1.2.30.md section 15.1.
    const auto sdk = decodeCompletionRequest(
        R"({"model":"accounts/desk-local/deployments/dep-1","prompt":[1,2,3],"n":1,"max_tokens":4,
        "temperature":1,"stream":true,"perf_metrics_in_response":true,"raw_output":true,
        "logprobs":true,"top_p":1,"top_k":0,"echo":true,"user":"me","prompt_cache_key":"k"})");
    CHECK(sdk.has_value());
    CHECK(sdk->isStream && sdk->wantsRawOutput && sdk->wantsPerfMetrics && sdk->isEcho);
    CHECK(sdk->logprobs == LogprobsForm::Structured);
    CHECK(*decodeCompletionRequest(encodeCompletionRequest(*sdk)) == *sdk);

    CompletionRequest many;
    many.model = "m";
    many.prompt = "a";
    many.morePrompts = { { "b", {} }, { {}, std::vector<std::int64_t> { 1 } } };
    many.stop = { "x" };
    many.stopTokens = { 7 };
    many.logprobs = LogprobsForm::Legacy;
    many.topLogprobs = 3;
    many.echoLast = 2;
    many.wantsTokenIds = many.ignoresEos = many.failsWhenTooLong = true;
    CHECK(*decodeCompletionRequest(encodeCompletionRequest(many)) == many);
    const auto one = decodeCompletionRequest(
        R"({"model":"m","prompt":["a","b"],"stop":"x","seed":18446744073709551615})");
    CHECK(one && one->morePrompts.size() == 1 && one->seed == -1);
}

TEST(completion_requests_that_are_refused)
{
    const auto problem = [](const std::string& fields) {
        const auto read = decodeCompletionRequest(R"({"model":"m","prompt":"p",)" + fields + "}");
        return read ? std::string {} : read.error().message;
    };
    for (const char* fields : { R"("n":0)", R"("n":129)", R"("top_p":0)", R"("top_k":-2)",
             R"("max_tokens":"many")", R"("temperature":"hot")", R"("stop":[{}])",
             R"("logprobs":6)", R"("logprobs":"yes")", R"("top_logprobs":65,"logprobs":true)",
             R"("echo_last":-1)", R"("frequency_penalty":0.5)", R"("logit_bias":{"1":2})",
             R"("response_format":{"type":"json_object"})" })
        CHECK(!problem(fields).empty());
    for (const char* fields : { R"("frequency_penalty":0)", R"("min_p":0)", R"("logit_bias":{})",
             R"("response_format":{"type":"text"})", R"("routing_matrix_format":null)" })
        CHECK_EQUAL(problem(fields), std::string());
    // Word for word: the SDK falls back on it.
    CHECK_EQUAL(problem(R"("routing_matrix_format":"parquet_v1")"),
        std::string("Extra inputs are not permitted, field: 'routing_matrix_format'"));
    CHECK_EQUAL(problem(R"("sampling_mask":"parquet_v1")"),
        std::string("Extra inputs are not permitted, field: 'sampling_mask'"));
}

Completion wholeCompletion()
{
    Completion whole;
    whole.id = "cmpl-1";
    whole.created = 1'795'255'300;
    whole.model = "accounts/a/deployments/d1@step-2-45dda197";
    CompletionChoice choice;
    choice.text = "4";
    choice.finishReason = "stop";
    choice.promptTokenIds = { 785, 2 };
    choice.completionTokenIds = { 19 };
    choice.logprobsForm = LogprobsForm::Structured;
    choice.logprobs = { { "4", "4", 19, -0.11, -0.11, 0, { { "4", 19, -0.11 } } } };
    choice.tokenIds = { { 19 } };
    choice.choicePromptTokenIds = { { 785, 2 } };
    whole.choices = { choice };
    whole.promptTokens = 2;
    whole.completionTokens = 1;
    whole.perfMetrics = { { "prefill-queue-duration", "0.001" } };
    return whole;
}

TEST(whole_answers_and_both_forms_of_logprobs)
{
    auto whole = wholeCompletion();
    CHECK(*decodeCompletion(encodeCompletion(whole)) == whole);
    whole.choices[0].logprobsForm = LogprobsForm::Legacy;
    whole.choices[0].logprobs[0].samplingLogprob.reset();
    const auto text = encodeCompletion(whole);
    CHECK(text.find(R"("logprobs":{"tokens":["4"],"token_logprobs":[-0.11],"token_ids":[19],)"
                    R"("text_offset":[0],"top_logprobs":[{"4":-0.11}]})")
        != std::string::npos);
    whole.choices[0].logprobs[0].top[0].tokenId = -1; // the older form has no ids there
    CHECK(*decodeCompletion(text) == whole);
}

TEST(streams_join_to_the_whole_answer)
{
    const auto whole = wholeCompletion();
    auto first = whole;
    first.choices[0].finishReason.clear();
    first.choices[0].promptTokenIds.clear();
    first.choices[0].completionTokenIds.clear();
    first.promptTokens = first.completionTokens = 0;
    first.perfMetrics.clear();
    auto last = whole;
    last.choices[0].text.clear();
    last.choices[0].rawText = "4";
    last.choices[0].logprobs.clear();
    last.choices[0].logprobsForm = LogprobsForm::None;
    last.choices[0].tokenIds.reset();
    last.choices[0].choicePromptTokenIds.reset();
    const auto stream =
        encodeCompletionEvent(first) + ": a comment\n\n" + encodeCompletionEvent(last);
    const auto read = decodeCompletionStream(stream + std::string(kCompletionDone));
    CHECK(read.has_value());
    CHECK(*read == whole);
    CHECK(*decodeCompletionStream(stream) == whole); // [DONE] may be missing
    CHECK(*decodeCompletionStream("event: ping\ndata: not JSON\n\n" + stream) == whole);
    std::string windows;
    for (const char c : stream)
        windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
    CHECK(*decodeCompletionStream(windows) == whole);
}

// The table of fireworks-sdk-1.2.30.md section 15.2.
TEST(streams_that_are_no_answer)
{
    const std::string text = R"(data: {"choices":[{"index":0,"text":"a"}]})";
    const std::string end = R"(data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}]})";
    CHECK(decodeCompletionStream(text + "\n\n" + end + "\n\n").has_value());
    for (const auto& stream : { text + "\n\n" + std::string(kCompletionDone), // no finish_reason
             text + "\n\n" + end + "\n", // the last event without its blank line
             text + "\n\n" + end, std::string(), std::string(kCompletionDone),
             text + "\n\ndata: {\n\n" + end + "\n\n", // unreadable
             text + "\n\ndata: [DONE] x\n\n" + end + "\n\n" })
        CHECK(!decodeCompletionStream(stream).has_value());
    const auto failed = decodeCompletionStream(
        text + "\n\n" + encodeCompletionErrorEvent(503, "the backend is stopping"));
    CHECK(!failed.has_value());
    CHECK_EQUAL(failed.error().message.empty(), false);
    CHECK(failed.error().message.find("stopping") != std::string::npos);
    const auto chunk = decodeCompletionStream("data: {\"error\":{\"status\":429}}\n\n");
    CHECK(!chunk.has_value() && chunk.error().code == Error::Code::Quota);
}

TEST(hot_load_requests_and_adapters)
{
    // Both spellings, and the form without one (weight-delta.md section 6.1).
    for (const char* checksum :
        { R"(,"checksum_format":"alder32")", R"(,"checksum_format":"adler32")", "" }) {
        const auto read = decodeHotload(
            R"({"identity":"b","incremental_snapshot_metadata":{"previous_snapshot_identity":"a",)"
            R"("compression_format":"arc_v2")"
            + std::string(checksum) + "}}");
        CHECK(read.has_value());
        CHECK_EQUAL(read->incremental->checksumFormat, std::string("alder32"));
    }
    for (const char* body : { R"({"identity":"a/b"})", R"({"identity":".."})", R"({"identity":""})",
             R"({"identity":"a","reset_prompt_cache":"some"})", R"({"identity":"a","extra":1})",
             R"({"identity":"a","incremental_snapshot_metadata":{}})",
             R"({"identity":"a","incremental_snapshot_metadata":)"
             R"({"previous_snapshot_identity":"b","checksum_format":"crc32"}})" })
        CHECK(!decodeHotload(body));
    for (const char* word : { "true", "false", "\"all\"", "\"new_session\"", "\"none\"" })
        CHECK(decodeHotload(R"({"identity":"a","reset_prompt_cache":)" + std::string(word) + "}"));
    CHECK_EQUAL(resetPolicy(true), std::string("all"));
    CHECK_EQUAL(resetPolicy(false), std::string("none"));
    CHECK_EQUAL(resetPolicy(std::monostate {}), std::string("all"));
    CHECK_EQUAL(resetPolicy(std::string("new_session")), std::string("new_session"));
    const auto ignoring =
        decodeHotload(R"({"identity":"a","validation":{"extra_fields_ignore":["torch_dtype"]}})");
    CHECK(ignoring->ignoredConfigKeys == std::vector<std::string>({ "torch_dtype" }));

    Replica replica;
    replica.identity = "pod";
    replica.stage = "applying";
    replica.loadedAdapters = { "one" };
    replica.loadingAdapters = { "two" };
    const auto text = encodeHotloadStatus(std::array { replica });
    CHECK(text.find(R"("loaded_adapters":[{"identity":"one","status":"loaded"},)"
                    R"({"identity":"two","status":"loading"}])")
        != std::string::npos);
    CHECK(decodeHotloadStatus(text)->at(0) == replica);
}

} // namespace

CHECK_MAIN()
