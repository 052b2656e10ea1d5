// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/error_codec.h"
#include "tests/local/backend_fixture.h"
#include "tests/local/sample_probe.h"

#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <thread>

using namespace desk::check;
using desk::CompletionRequest;
using desk::LogprobsForm;

namespace {

const std::string kModel = "accounts/local/models/desk-tiny";
const std::string kModelField = "\"model\":\"accounts/local/models/desk-tiny\",";

CompletionRequest wantedText(const std::string& prompt = "Once upon a time")
{
    CompletionRequest wanted;
    wanted.model = kModel;
    wanted.prompt = prompt;
    wanted.maxTokens = 12;
    wanted.seed = 7;
    wanted.wantsRawOutput = true;
    return wanted;
}

desk::Completion completed(const BackendFixture& fixture, const CompletionRequest& wanted)
{
    const auto reply =
        fixture.probe.call("POST", desk::kCompletionsPath, desk::encodeCompletionRequest(wanted));
    auto made = desk::decodeCompletion(reply.body);
    if (!made)
        fail(__FILE__, __LINE__, "no completion: " + reply.body);
    return *made;
}

desk::Completion streamed(const BackendFixture& fixture, CompletionRequest wanted)
{
    wanted.isStream = true;
    const auto reply = streamCompletion(fixture.probe, desk::encodeCompletionRequest(wanted));
    auto made = desk::decodeCompletionStream(reply.body);
    if (!made)
        fail(__FILE__, __LINE__, made.error().message + ": " + reply.body);
    return *made;
}

/// What generation gave, without the ids and times that differ.
std::string texts(const desk::Completion& completion)
{
    std::string all;
    for (const auto& choice : completion.choices) {
        all += choice.text + "|" + choice.finishReason + "|";
        for (const auto id : choice.completionTokenIds)
            all += std::to_string(id) + ",";
        all += "\n";
    }
    return all;
}

TEST(seeds_make_completions_deterministic)
{
    const BackendFixture fixture;
    auto wanted = wantedText();
    const auto first = texts(completed(fixture, wanted));
    CHECK_EQUAL(texts(completed(fixture, wanted)), first);
    wanted.seed = 8;
    CHECK(texts(completed(fixture, wanted)) != first);
    wanted.temperature = 0; // the most probable tokens, whatever the seed
    const auto greedy = texts(completed(fixture, wanted));
    wanted.seed = 9;
    CHECK_EQUAL(texts(completed(fixture, wanted)), greedy);
    wanted.temperature = 1;
    wanted.topK = 1;
    CHECK_EQUAL(texts(completed(fixture, wanted)), greedy);
    wanted.topK = 0;
    wanted.topP = 1e-6;
    CHECK_EQUAL(texts(completed(fixture, wanted)), greedy);
}

TEST(texts_and_tokens_are_the_same_prompt)
{
    const BackendFixture fixture;
    auto wanted = wantedText("Hi");
    const auto byText = completed(fixture, wanted);
    wanted.promptTokens = { 72, 105 };
    wanted.prompt.clear();
    const auto byTokens = completed(fixture, wanted);
    CHECK_EQUAL(texts(byTokens), texts(byText));
    CHECK(byText.choices[0].promptTokenIds == std::vector<std::int64_t>({ 72, 105 }));
    CHECK_EQUAL(byText.promptTokens, 2);
    CHECK_EQUAL(byText.completionTokens,
        static_cast<std::int64_t>(byText.choices[0].completionTokenIds.size()));
    CHECK_EQUAL(byText.model, kModel);
}

TEST(several_choices_and_several_prompts)
{
    const BackendFixture fixture;
    auto wanted = wantedText();
    wanted.n = 3;
    wanted.maxTokens = 60;
    wanted.temperature = 3; // what this model says, it says with certainty
    const auto made = completed(fixture, wanted);
    CHECK_EQUAL(made.choices.size(), std::size_t { 3 });
    std::set<std::string> different;
    for (const auto& choice : made.choices)
        different.insert(choice.text);
    CHECK_EQUAL(different.size(), std::size_t { 3 });
    CHECK_EQUAL(made.choices[2].index, 2);
    wanted.n = 1;
    CHECK_EQUAL(completed(fixture, wanted).choices[0].text, made.choices[0].text);
    wanted.morePrompts = { { "The ship", {} } };
    wanted.n = 2;
    const auto both = completed(fixture, wanted);
    CHECK_EQUAL(both.choices.size(), std::size_t { 4 });
    CHECK(both.choices[2].promptTokenIds != both.choices[1].promptTokenIds);
    CHECK_EQUAL(both.promptTokens, 16 + 8);
}

TEST(stops_end_the_text_before_them)
{
    const BackendFixture fixture;
    auto wanted = wantedText();
    wanted.temperature = 0;
    wanted.maxTokens = 40;
    const auto whole = completed(fixture, wanted).choices[0];
    CHECK_EQUAL(whole.finishReason, "length");
    CHECK(whole.text.size() > 10);
    const auto word = whole.text.substr(5, 3);
    const auto at = whole.text.find(word);
    wanted.stop = { "never to be seen", word };
    const auto cut = completed(fixture, wanted).choices[0];
    CHECK_EQUAL(cut.text, whole.text.substr(0, at));
    CHECK_EQUAL(cut.finishReason, "stop");
    CHECK_EQUAL(texts(streamed(fixture, wanted)), texts(completed(fixture, wanted)));
    // As a token: the ids hold it, the text does not.
    wanted.stop.clear();
    const auto token = static_cast<unsigned char>(whole.text[5]);
    wanted.stopTokens = { token };
    const auto byToken = completed(fixture, wanted).choices[0];
    CHECK_EQUAL(byToken.completionTokenIds.back(), std::int64_t { token });
    CHECK_EQUAL(byToken.text.size() + 1, byToken.completionTokenIds.size());
    CHECK_EQUAL(byToken.finishReason, "stop");
    CHECK_EQUAL(texts(streamed(fixture, wanted)), texts(completed(fixture, wanted)));
}

TEST(structured_log_probabilities_fit_the_tokens)
{
    const BackendFixture fixture;
    auto wanted = wantedText();
    wanted.logprobs = LogprobsForm::Structured;
    wanted.topLogprobs = 3;
    const auto choice = completed(fixture, wanted).choices[0];
    CHECK_EQUAL(choice.logprobs.size(), choice.completionTokenIds.size());
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < choice.logprobs.size(); ++i) {
        const auto& entry = choice.logprobs[i];
        CHECK_EQUAL(entry.tokenId, choice.completionTokenIds[i]);
        CHECK(entry.logprob <= 0 && std::isfinite(entry.logprob));
        CHECK(std::abs(*entry.samplingLogprob - entry.logprob) < 1e-4); // nothing is distorted
        CHECK_EQUAL(entry.top.size(), std::size_t { 3 });
        CHECK(entry.top[0].logprob >= entry.top[1].logprob);
        CHECK_EQUAL(entry.textOffset, offset);
        offset += 1;
    }
    // A distorted distribution is what the tokens were drawn from, not what the model says.
    wanted.temperature = 0.5;
    const auto cold = completed(fixture, wanted).choices[0];
    bool differs = false;
    for (const auto& entry : cold.logprobs)
        differs = differs || std::abs(*entry.samplingLogprob - entry.logprob) > 1e-3;
    CHECK(differs);
}

TEST(an_echo_comes_first_with_its_own_log_probabilities)
{
    const BackendFixture fixture;
    auto wanted = wantedText("Once upon");
    wanted.isEcho = true;
    wanted.logprobs = LogprobsForm::Structured;
    const auto made = completed(fixture, wanted);
    const auto& choice = made.choices[0];
    const auto prompt = choice.promptTokenIds.size();
    CHECK_EQUAL(prompt, std::size_t { 9 });
    CHECK_EQUAL(choice.completionTokenIds.size(), prompt + 12);
    CHECK_EQUAL(choice.logprobs.size(), prompt + 12);
    CHECK_EQUAL(choice.text.substr(0, 9), "Once upon");
    for (std::size_t i = 0; i < prompt; ++i) {
        CHECK_EQUAL(choice.completionTokenIds[i], choice.promptTokenIds[i]);
        CHECK(!choice.logprobs[i].samplingLogprob.has_value());
    }
    CHECK(choice.logprobs[prompt].samplingLogprob.has_value());
    CHECK_EQUAL(made.completionTokens, 12);
    // echo_last: only the end of the prompt.
    wanted.isEcho = false;
    wanted.echoLast = 4;
    const auto last = completed(fixture, wanted).choices[0];
    CHECK_EQUAL(last.logprobs.size(), std::size_t { 4 + 12 });
    for (std::size_t i = 0; i < last.logprobs.size(); ++i)
        CHECK(std::abs(last.logprobs[i].logprob - choice.logprobs[i + prompt - 4].logprob) < 1e-6);
    // Scores alone.
    wanted.echoLast.reset();
    wanted.isEcho = true;
    wanted.maxTokens = 0;
    const auto scores = completed(fixture, wanted).choices[0];
    CHECK_EQUAL(scores.logprobs.size(), prompt);
    CHECK_EQUAL(scores.finishReason, "length");
    // A streamed echo is the same.
    wanted.maxTokens = 12;
    CHECK_EQUAL(texts(streamed(fixture, wanted)), texts(made));
    CHECK(streamed(fixture, wanted).choices[0].logprobs == choice.logprobs);
}

TEST(the_scores_of_an_echo_are_those_of_the_completion_before)
{
    const BackendFixture fixture;
    auto wanted = wantedText("Once upon");
    wanted.logprobs = LogprobsForm::Structured;
    const auto made = completed(fixture, wanted).choices[0];
    auto again = wanted;
    again.prompt.clear();
    again.promptTokens = made.promptTokenIds;
    again.promptTokens->insert(
        again.promptTokens->end(), made.completionTokenIds.begin(), made.completionTokenIds.end());
    again.isEcho = true;
    again.maxTokens = 0;
    const auto scores = completed(fixture, again).choices[0];
    for (std::size_t i = 0; i < made.logprobs.size(); ++i)
        CHECK(std::abs(scores.logprobs[made.promptTokenIds.size() + i].logprob
                  - made.logprobs[i].logprob)
            < 1e-3);
}

TEST(the_older_form_of_log_probabilities)
{
    const BackendFixture fixture;
    auto wanted = wantedText();
    wanted.logprobs = LogprobsForm::Legacy;
    wanted.topLogprobs = 2;
    const auto choice = completed(fixture, wanted).choices[0];
    CHECK(choice.logprobsForm == LogprobsForm::Legacy);
    CHECK_EQUAL(choice.logprobs.size(), choice.completionTokenIds.size());
    CHECK(choice.logprobs[0].top.size() >= 1);
}

TEST(a_stream_is_the_whole_answer_in_parts)
{
    const BackendFixture fixture;
    for (const bool scored : { false, true })
        for (const int top : { 0, 2 }) {
            auto wanted = wantedText();
            wanted.n = 2;
            wanted.wantsTokenIds = true;
            wanted.wantsPerfMetrics = true;
            wanted.logprobs = scored ? LogprobsForm::Structured : LogprobsForm::None;
            wanted.topLogprobs = scored ? top : 0;
            const auto whole = completed(fixture, wanted);
            const auto parts = streamed(fixture, wanted);
            CHECK_EQUAL(texts(parts), texts(whole));
            CHECK_EQUAL(parts.choices.size(), whole.choices.size());
            for (std::size_t i = 0; i < parts.choices.size(); ++i)
                CHECK(parts.choices[i] == whole.choices[i]);
            CHECK_EQUAL(parts.promptTokens, whole.promptTokens);
            CHECK_EQUAL(parts.completionTokens, whole.completionTokens);
            for (const char* key : { "prefill-queue-duration", "generation-queue-duration",
                     "server-time-to-first-token", "num-concurrent-requests", "prompt-tokens",
                     "cached-prompt-tokens", "server-processing-time" }) {
                CHECK(parts.perfMetrics.contains(key));
                CHECK(whole.perfMetrics.contains(key));
            }
        }
}

// fireworks-sdk-1.2.30.md section 15.2: what the SDK's decoder insists on.
TEST(a_stream_is_as_strict_as_the_sdk)
{
    const BackendFixture fixture;
    auto wanted = wantedText();
    wanted.isStream = true;
    const auto reply = streamCompletion(fixture.probe, desk::encodeCompletionRequest(wanted),
        "x-request-id: 365bc4d263854373a9009ebc4832e877\r\n");
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply.head.find("text/event-stream") != std::string::npos);
    CHECK(reply.head.find("365bc4d263854373a9009ebc4832e877") != std::string::npos);
    const std::string end = "\n\ndata: [DONE]\n\n";
    CHECK(reply.body.size() > end.size());
    CHECK_EQUAL(reply.body.substr(reply.body.size() - end.size()), end);
    std::size_t events = 0;
    std::size_t finished = 0;
    for (std::size_t at = 0; at < reply.body.size();) {
        const auto stop = reply.body.find("\n\n", at);
        CHECK(stop != std::string::npos);
        const auto line = reply.body.substr(at, stop - at);
        at = stop + 2;
        CHECK_EQUAL(line.substr(0, 6), "data: ");
        CHECK(line.find('\n') == std::string::npos);
        if (line == "data: [DONE]")
            continue;
        ++events;
        CHECK(line.find("\"object\":\"text_completion\"") != std::string::npos);
        const bool ends = line.find("\"finish_reason\":\"length\"") != std::string::npos;
        CHECK(ends || line.find("\"finish_reason\":null") != std::string::npos);
        CHECK_EQUAL(line.find("raw_output") != std::string::npos, ends);
        CHECK_EQUAL(line.find("\"usage\"") != std::string::npos, ends);
        finished += ends ? 1 : 0;
    }
    CHECK_EQUAL(finished, std::size_t { 1 });
    CHECK(events >= 12);
}

TEST(a_stream_survives_letters_of_several_bytes)
{
    const BackendFixture fixture;
    auto wanted = wantedText();
    wanted.temperature = 50; // bytes at random
    wanted.maxTokens = 60;
    const auto whole = completed(fixture, wanted);
    const auto parts = streamed(fixture, wanted);
    CHECK_EQUAL(parts.choices[0].text, whole.choices[0].text);
}

TEST(a_client_that_hangs_up_stops_its_generation)
{
    const BackendFixture fixture;
    auto wanted = wantedText();
    wanted.maxTokens = 100'000; // until the context is full
    wanted.ignoresEos = true;
    wanted.isStream = true;
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < 24; ++i) {
        RawConnection connection(fixture.probe.port());
        CHECK(
            connection.send(completionHead(fixture.probe, desk::encodeCompletionRequest(wanted))));
        CHECK(!connection.readUntilClosed(64).empty());
    }
    const auto left = std::chrono::steady_clock::now() - began;
    // The next one is answered long before what they asked for could be made.
    auto small = wantedText();
    small.maxTokens = 1;
    completed(fixture, small);
    const auto all = std::chrono::steady_clock::now() - began;
    wanted.isStream = false;
    const auto alone = std::chrono::steady_clock::now();
    completed(fixture, wanted);
    const auto one = std::chrono::steady_clock::now() - alone;
    CHECK(all < one * 12 + left);
}

TEST(kept_connections_of_many_samplers)
{
    const BackendFixture fixture;
    auto wanted = wantedText();
    wanted.maxTokens = 2;
    const auto body = desk::encodeCompletionRequest(wanted);
    std::vector<std::unique_ptr<RawConnection>> sockets;
    for (int i = 0; i < 256; ++i)
        sockets.push_back(std::make_unique<RawConnection>(fixture.probe.port()));
    for (int round = 0; round < 2; ++round) {
        for (auto& socket : sockets)
            CHECK(socket->send(completionHead(fixture.probe, body, "Connection: keep-alive\r\n")));
        for (auto& socket : sockets)
            CHECK_EQUAL(socket->readReply().status, 200);
    }
}

struct Refusal
{
    std::string body;
    int status;
    const char* words;
};

TEST(every_refusal_has_a_body_that_clients_read)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    fixture.probe.createDeployment("empty", 1, "j");
    CHECK_EQUAL(fixture.probe
                    .call("PATCH", BackendProbe::accountPath("/deployments/empty:scale"),
                        R"({"replicaCount":0})")
                    .status,
        200);
    const std::vector<Refusal> refusals {
        { "{", 400, "JSON" },
        { "[]", 400, "object" },
        { R"({"prompt":"x"})", 400, "model" },
        { "{" + kModelField + "\"max_tokens\":4}", 400, "prompt" },
        { "{" + kModelField + R"("prompt":{}})", 400, "prompt" },
        { "{" + kModelField + R"("prompt":[1,"x"]})", 400, "token ids" },
        { "{" + kModelField + R"("prompt":[99999]})", 400, "vocabulary" },
        { "{" + kModelField + R"("prompt":[-1]})", 400, "vocabulary" },
        { "{" + kModelField + R"("prompt":[]})", 400, "empty" },
        { "{" + kModelField + R"("prompt":"x","max_tokens":0})", 400, "max_tokens" },
        { "{" + kModelField + R"("prompt":"x","max_tokens":-1})", 400, "max_tokens" },
        { "{" + kModelField + R"("prompt":"x","temperature":-1})", 400, "temperature" },
        { "{" + kModelField + R"("prompt":"x","temperature":1000})", 400, "temperature" },
        { "{" + kModelField + R"("prompt":"x","top_p":0})", 400, "top_p" },
        { "{" + kModelField + R"("prompt":"x","n":1000})", 400, "n" },
        { "{" + kModelField + R"("prompt":"x","logprobs":9})", 400, "logprobs" },
        { "{" + kModelField + R"("prompt":"x","presence_penalty":1})", 400, "presence_penalty" },
        { "{" + kModelField + R"("prompt":"x","routing_matrix_format":"parquet_v1"})", 400,
            "Extra inputs are not permitted, field: 'routing_matrix_format'" },
        { "{" + kModelField + "\"prompt\":\"" + std::string(5000, 'a') + "\"}", 400, "context" },
        { "{" + kModelField
                + R"("prompt":"x","max_tokens":9999,"context_length_exceeded_behavior":"error"})",
            400, "context" },
        { R"({"model":"accounts/local/deployments/none","prompt":"x"})", 404, "none" },
        { R"({"model":"accounts/local/deployments/empty","prompt":"x"})", 404, "zero" },
        { R"({"model":"accounts/local/models/none","prompt":"x"})", 404, "none" },
        { R"({"model":"accounts/other/models/desk-tiny","prompt":"x"})", 404, "desk-tiny" },
        { R"({"model":"nonsense","prompt":"x"})", 404, "nonsense" },
        { R"({"model":"accounts/local/trainingSessions/ts-1/checkpoints/a/b","prompt":"x"})", 404,
            "trainingSessions" },
    };
    for (const auto& refusal : refusals)
        for (const auto path : { desk::kCompletionsPath, std::string_view("/v1/completions") }) {
            const auto reply =
                fixture.probe.call("POST", path, refusal.body, "x-request-id: abc\r\n");
            CHECK_EQUAL(reply.status, refusal.status);
            CHECK(reply.head.find("x-request-id: abc") != std::string::npos);
            CHECK(reply.body.find("\"error\":{") != std::string::npos);
            const auto error = desk::errorFromReply(reply.status, reply.body, "complete", "abc");
            if (error.message.find(refusal.words) == std::string::npos)
                fail(__FILE__, __LINE__, refusal.words + (": " + error.message));
            CHECK(error.code
                == (refusal.status == 404 ? desk::Error::Code::NotFound
                                          : desk::Error::Code::Refused));
        }
    CHECK_EQUAL(fixture.probe.call("GET", desk::kCompletionsPath).status, 405);
    // A stream that is refused before its first event is an ordinary answer.
    const auto reply =
        streamCompletion(fixture.probe, "{" + kModelField + R"("prompt":[99999],"stream":true})");
    CHECK_EQUAL(reply.status, 400);
    const auto unauthorized = request(fixture.probe.port(), "POST", desk::kCompletionsPath,
        "{" + kModelField + R"("prompt":"x"})");
    CHECK_EQUAL(unauthorized.status, 401);
}

TEST(faults_reach_the_sampler_as_it_expects)
{
    BackendFixture fixture(
        R"([{"route":"POST /inference/v1/completions","nth":1,"action":"status","status":429,"retry_after":1},
            {"route":"POST /inference/v1/completions","nth":2,"action":"status","status":503},
            {"route":"POST /inference/v1/completions","nth":3,"action":"drop-reply"}])");
    const auto body = desk::encodeCompletionRequest(wantedText());
    const auto busy = fixture.probe.call("POST", desk::kCompletionsPath, body);
    CHECK_EQUAL(busy.status, 429);
    CHECK(busy.head.find("Retry-After: 1") != std::string::npos);
    CHECK_EQUAL(fixture.probe.call("POST", desk::kCompletionsPath, body).status, 503);
    CHECK_EQUAL(fixture.probe.call("POST", desk::kCompletionsPath, body).status, 0);
    CHECK_EQUAL(fixture.probe.call("POST", desk::kCompletionsPath, body).status, 200);
}

} // namespace

CHECK_MAIN()
