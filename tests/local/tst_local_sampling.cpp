// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/clock.h"
#include "services/local/sampling/fair_queue.h"
#include "services/local/sampling/sampling_service.h"
#include "services/local/server/router.h"
#include "tests/local/backend_fixture.h"
#include "tests/local/sample_probe.h"

#include <array>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

using namespace desk::check;
using desk::SampleRequest;
using desk::SampleResult;

namespace {

const std::string kBase = "accounts/local/models/desk-tiny";
const std::vector<std::int64_t> kPrompt { 72, 101, 108, 108, 111 };

std::string sessionOf(const BackendFixture& fixture)
{
    const auto reply = fixture.probe.call(
        "POST", "/api/v1/create_session", desk::encodeCreateSession({ {}, {}, "0.38.0" }));
    const auto made = desk::decodeSessionCreated(reply.body);
    if (!made)
        fail(__FILE__, __LINE__, "no session: " + reply.body);
    return made->sessionId;
}

std::string shown(const SampleResult& result)
{
    std::string text;
    for (const auto& sequence : result.sequences) {
        for (const auto token : sequence.tokens)
            text += std::to_string(token) + ",";
        text += sequence.isStopped ? "stop\n" : "length\n";
    }
    return text;
}

TEST(samples_of_a_base_model)
{
    const BackendFixture fixture;
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    CHECK(sampler.find(":sample:0") != std::string::npos);
    auto wanted = SampleProbe::request(sampler, 0, kPrompt);
    wanted.numSamples = 3;
    const auto ticket = probe.submit(wanted);
    CHECK_EQUAL(ticket.sequenceIds.size(), std::size_t { 3 });
    CHECK_EQUAL(ticket.sequenceIds[2], ticket.requestId + ":2");
    const auto result = probe.result(ticket.requestId);
    CHECK_EQUAL(result.sequences.size(), std::size_t { 3 });
    std::set<std::vector<std::int32_t>> different;
    for (const auto& sequence : result.sequences) {
        CHECK_EQUAL(sequence.tokens.size(), sequence.logprobs.size());
        CHECK(!sequence.tokens.empty());
        different.insert(sequence.tokens);
    }
    CHECK_EQUAL(different.size(), std::size_t { 3 }); // one seed, three samples
    CHECK(!result.promptLogprobs && !result.topkPrompt);
    // Delivered twice, and in the older form.
    CHECK_EQUAL(shown(probe.result(ticket.requestId)), shown(result));
    const auto json = desk::decodeSampleResult(probe.retrieve(ticket.requestId).body);
    CHECK(json && shown(*json) == shown(result));
}

TEST(equal_seeds_give_equal_tokens)
{
    const BackendFixture fixture;
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    auto wanted = SampleProbe::request(sampler, 0, kPrompt);
    wanted.seed = 18'446'744'073'709'551'615ULL;
    wanted.numSamples = 2;
    const auto first = shown(probe.sample(wanted));
    wanted.seqId = 1;
    CHECK_EQUAL(shown(probe.sample(wanted)), first);
    wanted.seqId = 2;
    wanted.seed = 2;
    CHECK(shown(probe.sample(wanted)) != first);
}

// tinker-0.38.md section 21, item 6.
TEST(a_request_that_is_sent_again_is_drawn_once)
{
    const BackendFixture fixture;
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    auto wanted = SampleProbe::request(sampler, 966'634'389'000'000'000, kPrompt);
    wanted.seed.reset(); // a second draw would differ
    wanted.numSamples = 2;
    const auto ticket = probe.submit(wanted);
    CHECK(probe.submit(wanted) == ticket);
    const auto first = shown(probe.result(ticket.requestId));
    CHECK(probe.submit(wanted) == ticket);
    CHECK_EQUAL(shown(probe.result(ticket.requestId)), first);
    wanted.maxTokens = 3; // the number was used for something else
    const auto other = probe.post("asample", desk::encodeSample(wanted));
    CHECK_EQUAL(other.status, 400);
    CHECK(other.body.find("966634389000000000") != std::string::npos);
    wanted.seqId = 1'000'000'000'000'000'000;
    CHECK(probe.submit(wanted).requestId != ticket.requestId);
}

TEST(stops_are_part_of_the_tokens)
{
    const BackendFixture fixture;
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    auto wanted = SampleProbe::request(sampler, 0, kPrompt);
    wanted.temperature = 0;
    wanted.maxTokens = 30;
    const auto whole = probe.sample(wanted).sequences[0];
    CHECK(!whole.isStopped && whole.tokens.size() == 30);
    const auto fifth = whole.tokens[4];
    const auto at = static_cast<std::size_t>(
        std::find(whole.tokens.begin(), whole.tokens.end(), fifth) - whole.tokens.begin());
    wanted.hasStop = true;
    wanted.stopTokens = { fifth };
    wanted.seqId = 1;
    const auto byToken = probe.sample(wanted).sequences[0];
    CHECK(byToken.isStopped);
    CHECK_EQUAL(byToken.tokens.size(), at + 1);
    CHECK_EQUAL(byToken.tokens.back(), fifth);
    CHECK_EQUAL(byToken.logprobs.size(), byToken.tokens.size());
    wanted.stopTokens.clear();
    const std::string word { static_cast<char>(whole.tokens[6]),
        static_cast<char>(whole.tokens[7]) };
    wanted.stopTexts = { word };
    wanted.seqId = 2;
    const auto byText = probe.sample(wanted).sequences[0];
    CHECK(byText.isStopped);
    std::string text;
    for (const auto token : byText.tokens)
        text.push_back(static_cast<char>(token));
    CHECK(text.size() >= 2 && text.substr(text.size() - 2) == word);
}

TEST(scores_of_the_prompt)
{
    const BackendFixture fixture;
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    auto wanted = SampleProbe::request(sampler, 0, kPrompt);
    wanted.maxTokens = 1;
    wanted.wantsPromptLogprobs = true;
    wanted.topkPromptLogprobs = 3;
    wanted.topkSampleLogprobs = 2;
    wanted.promptAltTokens = 2;
    desk::PromptTargets targets;
    targets.rows = 4;
    targets.columns = 2;
    for (std::size_t i = 1; i < kPrompt.size(); ++i) {
        targets.tokens.push_back(kPrompt[i]);
        targets.tokens.push_back(-1);
    }
    wanted.targets = targets;
    const auto result = probe.sample(wanted);
    CHECK_EQUAL(result.promptLogprobs->size(), kPrompt.size());
    CHECK(std::isnan(result.promptLogprobs->at(0)));
    CHECK_EQUAL(result.topkPrompt->k, 3);
    CHECK_EQUAL(result.topkPrompt->tokens.size(), 3 * kPrompt.size());
    CHECK_EQUAL(result.topkPrompt->logprobs[0], desk::kNoTopLogprob);
    CHECK_EQUAL(result.targetLogprobs.size(), targets.tokens.size());
    CHECK_EQUAL(result.promptAltTokens.size(), std::size_t { 8 });
    CHECK_EQUAL(result.sequences[0].topk->tokens.size(), std::size_t { 2 });
    for (std::size_t i = 1; i < kPrompt.size(); ++i) {
        // What is asked for by name is what the prompt itself got.
        CHECK(std::abs(result.targetLogprobs[2 * (i - 1)] - result.promptLogprobs->at(i)) < 1e-6F);
        CHECK_EQUAL(result.targetLogprobs[2 * (i - 1) + 1], 0.0F); // the request had -1
        CHECK(result.topkPrompt->logprobs[3 * i] >= result.promptLogprobs->at(i));
        CHECK(result.promptAltLogprobs[2 * (i - 1)] <= 0);
    }
    // The older form says none as null.
    const auto json = probe.retrieve(probe.submit(wanted).requestId).body;
    CHECK(json.find("\"prompt_logprobs\":[null,") != std::string::npos);
    CHECK(json.find("\"topk_prompt_logprobs\":[null,[[") != std::string::npos);
    // Only the last ones.
    wanted.targets.reset();
    wanted.promptLogprobsLastN = 2;
    wanted.seqId = 1;
    const auto last = probe.sample(wanted);
    CHECK(std::isnan(last.promptLogprobs->at(2)));
    CHECK(std::abs(last.promptLogprobs->at(3) - result.promptLogprobs->at(3)) < 1e-6F);
}

TEST(the_scores_of_a_sample_are_those_of_its_prompt_later)
{
    const BackendFixture fixture;
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    auto wanted = SampleProbe::request(sampler, 0, kPrompt);
    wanted.maxTokens = 20;
    const auto drawn = probe.sample(wanted).sequences[0];
    auto scoring = SampleProbe::request(sampler, 1, kPrompt);
    scoring.prompt.insert(scoring.prompt.end(), drawn.tokens.begin(), drawn.tokens.end());
    scoring.maxTokens = 1;
    scoring.wantsPromptLogprobs = true;
    const auto scores = probe.sample(scoring);
    for (std::size_t i = 0; i < drawn.tokens.size(); ++i)
        CHECK(std::abs(drawn.logprobs[i] - scores.promptLogprobs->at(kPrompt.size() + i)) < 1e-3F);
}

TEST(what_cannot_be_sampled_says_why)
{
    const BackendFixture fixture;
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    const auto status = [&](const std::string& name, const std::string& body) {
        const auto reply = probe.post(name, body);
        CHECK(!reply.body.empty()); // an empty 400 would be sent again
        return reply.status;
    };
    CHECK_EQUAL(status("create_sampling_session", "{"), 400);
    CHECK_EQUAL(status("create_sampling_session", R"({"session_id":"s"})"), 400);
    const auto create = [&](const std::string& base, const std::string& path) {
        return status("create_sampling_session",
            desk::encodeCreateSamplingSession(
                { sampler.substr(0, sampler.find(':')), 5, base, path }));
    };
    CHECK_EQUAL(create("accounts/local/models/none", {}), 404);
    CHECK_EQUAL(create({}, "tinker://nobody/sampler_weights/none"), 404);
    CHECK_EQUAL(create({}, "tinker://nobody/weights/none"), 400);
    CHECK_EQUAL(create({}, "no-such-snapshot"), 404);
    CHECK_EQUAL(status("create_sampling_session",
                    desk::encodeCreateSamplingSession({ "sess-nobody", 0, kBase, {} })),
        400);
    CHECK_EQUAL(status("asample", "{}"), 400);
    CHECK_EQUAL(
        status("asample", desk::encodeSample(SampleProbe::request("gone", 0, kPrompt))), 404);
    CHECK_EQUAL(status("join_sampling_session", R"({"sampling_session_id":"gone"})"), 404);
    CHECK_EQUAL(status("retrieve_futures", R"({"target":{"sampling_session_id":"gone"}})"), 404);
    CHECK_EQUAL(status("retrieve_futures", "{}"), 400);
    CHECK_EQUAL(status("cancel_future", "{}"), 400);
    CHECK_EQUAL(fixture.probe.call("GET", "/api/v1/samplers/gone").status, 404);
    // What the model itself refuses fails in the future, as a user's error, in JSON for everybody.
    std::int64_t seqId = 100;
    for (const auto& prompt : { std::vector<std::int64_t> { 99'999 }, std::vector<std::int64_t> {},
             std::vector<std::int64_t>(5000, 65), std::vector<std::int64_t> { -7 } }) {
        const auto ticket = probe.submit(SampleProbe::request(sampler, seqId++, prompt));
        const auto reply = probe.retrieve(ticket.requestId, "application/x-protobuf");
        CHECK_EQUAL(reply.status, 200);
        CHECK(reply.body.find("\"error\":") != std::string::npos);
        CHECK(reply.body.find("\"category\":\"user\"") != std::string::npos);
    }
}

TEST(sampler_info_joins_and_repeated_sessions)
{
    const BackendFixture fixture;
    const auto session = sessionOf(fixture);
    SampleProbe probe(fixture.probe, session);
    const auto sampler = probe.open(kBase);
    const auto info =
        desk::decodeSamplerInfo(fixture.probe.call("GET", "/api/v1/samplers/" + sampler).body);
    CHECK_EQUAL(info->baseModel, kBase);
    CHECK_EQUAL(info->samplerId, sampler);
    const auto again = probe.post(
        "create_sampling_session", desk::encodeCreateSamplingSession({ session, 0, kBase, {} }));
    CHECK_EQUAL(*desk::decodeSamplingSessionCreated(again.body), sampler);
    for (int copy = 1; copy <= 2; ++copy) {
        const auto joined =
            probe.post("join_sampling_session", R"({"sampling_session_id":")" + sampler + "\"}");
        CHECK_EQUAL(joined.body,
            R"({"type":"join_sampling_session","client_counter":)" + std::to_string(copy) + "}");
    }
}

TEST(many_samples_at_once)
{
    const BackendFixture fixture;
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    std::vector<std::string> ids;
    for (int i = 0; i < 64; ++i) {
        auto wanted = SampleProbe::request(sampler, i, kPrompt);
        wanted.maxTokens = 16;
        wanted.seed = static_cast<std::uint64_t>(i);
        ids.push_back(probe.submit(wanted).requestId);
    }
    std::vector<std::thread> pollers; // each holds its poll, as the client does
    std::mutex mutex;
    std::set<std::string> seen;
    for (const auto& id : ids)
        pollers.emplace_back([&, id] {
            const auto text = shown(probe.result(id));
            const std::scoped_lock lock(mutex);
            seen.insert(text);
        });
    for (auto& poller : pollers)
        poller.join();
    CHECK(seen.size() > 60);
}

TEST(training_goes_on_beside_many_samples)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    std::vector<std::string> ids;
    for (int i = 0; i < 64; ++i) {
        auto wanted = SampleProbe::request(sampler, i, kPrompt);
        wanted.maxTokens = 100;
        wanted.hasStop = true; // not even at the end token
        ids.push_back(probe.submit(wanted).requestId);
    }
    const auto before = training.loss(0);
    for (int i = 0; i < 3; ++i)
        training.step(5e-3);
    CHECK(training.loss(0) < before);
    for (const auto& id : ids)
        CHECK_EQUAL(probe.result(id).sequences.at(0).tokens.size(), std::size_t { 100 });
}

TEST(a_canceled_sample_frees_its_work)
{
    const BackendFixture fixture;
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    std::vector<std::string> ids;
    for (int i = 0; i < 40; ++i) {
        auto wanted = SampleProbe::request(sampler, i, kPrompt);
        wanted.maxTokens.reset(); // until the context is full
        wanted.hasStop = true;
        wanted.numSamples = 4;
        ids.push_back(probe.submit(wanted).requestId);
    }
    for (const auto& id : ids)
        CHECK_EQUAL(probe.post("cancel_future", R"({"request_id":")" + id + "\"}").status, 200);
    const auto began = std::chrono::steady_clock::now();
    auto small = SampleProbe::request(sampler, 1000, kPrompt);
    CHECK_EQUAL(probe.sample(small).sequences.size(), std::size_t { 1 });
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(2));
    const auto reply = probe.retrieve(ids.back());
    CHECK(reply.body.find("\"error\":") != std::string::npos);
    CHECK_EQUAL(probe.post("cancel_future", R"({"request_id":"unknown"})").status, 200);
}

TEST(a_finished_session_takes_its_samples_along)
{
    const BackendFixture fixture;
    const auto session = sessionOf(fixture);
    SampleProbe probe(fixture.probe, session);
    const auto sampler = probe.open(kBase);
    std::string last;
    for (int i = 0; i < 40; ++i) {
        auto wanted = SampleProbe::request(sampler, i, kPrompt);
        wanted.maxTokens.reset();
        wanted.hasStop = true;
        wanted.numSamples = 4;
        last = probe.submit(wanted).requestId;
    }
    CHECK(probe.post("sessions/" + session + "/finish", R"({"reason":{"type":"success"}})").status
        < 300);
    CHECK(probe.retrieve(last).body.find("has ended") != std::string::npos);
    CHECK_EQUAL(
        probe.post("asample", desk::encodeSample(SampleProbe::request(sampler, 99, kPrompt)))
            .status,
        404);
    CHECK_EQUAL(probe
                    .post("create_sampling_session",
                        desk::encodeCreateSamplingSession({ session, 1, kBase, {} }))
                    .status,
        400);
}

TEST(completions_of_a_session_as_one_list)
{
    const BackendFixture fixture;
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto sampler = probe.open(kBase);
    const auto poll = [&](std::int64_t clone, std::int64_t cursor, std::optional<double> timeout) {
        const auto reply = probe.post("retrieve_futures",
            desk::encodeRetrieveFutures({ sampler, clone, cursor, timeout, {} }));
        const auto read = desk::decodeFutureCompletions(reply.body);
        CHECK(read.has_value());
        return *read;
    };
    CHECK(poll(0, 0, 0.0).completions.empty());
    const auto first = probe.submit(SampleProbe::request(sampler, 0, kPrompt)).requestId;
    const auto one = poll(0, 0, std::nullopt); // held until something ends
    CHECK_EQUAL(one.completions.at(0).requestId, first);
    CHECK(!one.completions[0].isFailed);
    CHECK(one.completions[0].bytes.value_or(0) > 0);
    const auto failed = probe.submit(SampleProbe::request(sampler, 1, { 99'999 })).requestId;
    auto two = poll(0, one.cursor, std::nullopt);
    CHECK_EQUAL(two.completions.size(), std::size_t { 1 });
    CHECK_EQUAL(two.completions[0].requestId, failed);
    CHECK(two.completions[0].isFailed);
    CHECK_EQUAL(two.cursor, one.cursor + 1);
    // Another copy of the client has a list of its own.
    CHECK(poll(7, 0, 0.0).completions.empty());
    const auto copy = probe.submit(SampleProbe::request(sampler, 7'000'000'000, kPrompt)).requestId;
    CHECK_EQUAL(poll(7, 0, std::nullopt).completions.at(0).requestId, copy);
    CHECK(poll(0, two.cursor, 0.05).completions.empty()); // the client's own time is over
}

TEST(samples_follow_the_training_of_a_model)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TrainingProbe training(fixture.probe, "j");
    training.step(5e-3);
    training.step(5e-3, 200);
    CHECK(training.saveSampler("snap-1", "base").state == desk::FutureReply::State::Done);
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto base = probe.open(kBase);
    const auto trained = probe.open({}, "snap-1");
    const auto byPath = probe.open({}, "tinker://" + training.model() + "/sampler_weights/snap-1");
    const auto score = [&](const std::string& sampler, std::int64_t seqId) {
        auto wanted = SampleProbe::request(sampler, seqId, kPrompt);
        wanted.wantsPromptLogprobs = true;
        return probe.sample(wanted).promptLogprobs->at(1);
    };
    const auto before = score(base, 0);
    const auto after = score(trained, 0);
    CHECK(std::abs(before - after) > 1e-4F);
    CHECK_EQUAL(score(byPath, 0), after);
    const auto info =
        desk::decodeSamplerInfo(fixture.probe.call("GET", "/api/v1/samplers/" + byPath).body);
    CHECK_EQUAL(info->modelPath, "tinker://" + training.model() + "/sampler_weights/snap-1");
    // A delta holds no weights of its own.
    training.step();
    CHECK(training.saveSampler("delta-1", "delta").state == desk::FutureReply::State::Done);
    const auto refused = probe.post("create_sampling_session",
        desk::encodeCreateSamplingSession({ base.substr(0, base.find(':')), 50, {}, "delta-1" }));
    CHECK_EQUAL(refused.status, 400);
    CHECK(refused.body.find("delta") != std::string::npos);
}

/// The largest difference between a sample's log-probabilities and forward's over the same tokens.
float disagreement(TrainingProbe& training, const std::vector<std::int64_t>& prompt,
    const std::vector<std::int32_t>& tokens, const std::vector<float>& logprobs)
{
    desk::Datum datum;
    datum.tokens = prompt;
    datum.tokens.insert(datum.tokens.end(), tokens.begin(), tokens.end());
    std::vector<std::int64_t> targets(datum.tokens.begin() + 1, datum.tokens.end());
    datum.tokens.pop_back();
    datum.lossInputs["weights"] = desk::floatTensor(std::vector<float>(targets.size(), 1.0F));
    datum.lossInputs["target_tokens"] = desk::intTensor(std::move(targets));
    auto wanted = training.forward(false, 0);
    wanted.data = { datum };
    const auto read = desk::decodeForwardResult(training.submitForward(wanted).result);
    CHECK(read.has_value());
    const auto& made = read->outputs.at(0).at("logprobs").floats;
    float largest = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i)
        largest = std::max(largest, std::abs(made.at(prompt.size() - 1 + i) - logprobs.at(i)));
    return largest;
}

// Over HTTP: base, trained full parameters, and LoRA.
TEST(samples_agree_with_forward)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    SampleProbe probe(fixture.probe, sessionOf(fixture));
    const auto check = [&](TrainingProbe& training, const std::string& sampler) {
        auto wanted = SampleProbe::request(sampler, 0, kPrompt);
        wanted.maxTokens = 48;
        wanted.seed = 11;
        const auto drawn = probe.sample(wanted).sequences.at(0);
        CHECK(drawn.tokens.size() > 8);
        const auto apart = disagreement(training, kPrompt, drawn.tokens, drawn.logprobs);
        if (!(apart < 1e-3F))
            fail(__FILE__, __LINE__, "samples and forward differ by " + std::to_string(apart));
    };
    TrainingProbe full(fixture.probe, "j");
    check(full, probe.open(kBase));
    for (int i = 0; i < 3; ++i)
        full.step(3e-3, static_cast<std::size_t>(i) * 100);
    CHECK(full.saveSampler("full-1", "base").state == desk::FutureReply::State::Done);
    check(full, probe.open({}, "full-1"));

    TrainingProbe lora(fixture.probe, "j", 8);
    for (int i = 0; i < 3; ++i)
        lora.step(1e-2, static_cast<std::size_t>(i) * 100);
    CHECK(lora.saveSampler("lora-1", "base").state == desk::FutureReply::State::Done);
    check(lora, probe.open({}, "lora-1"));
    // The adapter moved the model.
    auto wanted = SampleProbe::request(probe.open(kBase), 0, kPrompt);
    wanted.wantsPromptLogprobs = true;
    const auto before = probe.sample(wanted).promptLogprobs->at(2);
    wanted.samplingSessionId = probe.open({}, "lora-1");
    CHECK(std::abs(probe.sample(wanted).promptLogprobs->at(2) - before) > 1e-4F);
}

TEST(ephemeral_saves_are_samplers)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    for (const int rank : { 0, 8 }) {
        TrainingProbe training(fixture.probe, "j", rank);
        training.step(5e-3);
        desk::SaveForSampler save;
        save.modelId = training.model();
        save.seqId = training.nextSequence();
        save.samplingSessionSeqId = 4;
        const auto reply = training.result(
            training.post("save_weights_for_sampler", desk::encodeSaveForSampler(save)).body);
        CHECK_EQUAL(reply.error, std::string());
        const auto saved = desk::decodeWeightsResult(reply.result);
        CHECK(saved.has_value());
        const auto sampler = saved->samplingSessionId;
        CHECK(sampler.find(":sample:4") != std::string::npos);
        SampleProbe probe(fixture.probe);
        auto wanted = SampleProbe::request(sampler, 0, kPrompt);
        wanted.maxTokens = 24;
        const auto drawn = probe.sample(wanted).sequences.at(0);
        CHECK(disagreement(training, kPrompt, drawn.tokens, drawn.logprobs) < 1e-3F);
        // Later steps do not change it.
        training.step(5e-2);
        wanted.seqId = 1;
        CHECK(probe.sample(wanted).sequences.at(0).tokens == drawn.tokens);
    }
    CHECK(std::filesystem::exists(fixture.folder.path() / "objects/ephemeral"));
    fixture.restart(); // they are nobody's any more
    CHECK(!std::filesystem::exists(fixture.folder.path() / "objects/ephemeral"));
}

TEST(a_restart_leaves_a_clear_answer)
{
    BackendFixture fixture;
    const auto session = sessionOf(fixture);
    std::string sampler;
    {
        SampleProbe probe(fixture.probe, session);
        sampler = probe.open(kBase);
    }
    fixture.restart();
    SampleProbe probe(fixture.probe, session);
    const auto reply =
        probe.post("asample", desk::encodeSample(SampleProbe::request(sampler, 0, kPrompt)));
    CHECK_EQUAL(reply.status, 404);
    CHECK(reply.body.find("restarted") != std::string::npos);
}

TEST(a_full_queue_asks_for_patience_and_draws_nothing_twice)
{
    using namespace desk::local;
    BackendFixture fixture;
    const desk::SystemClock clock;
    auto store = ObjectStore::open(fixture.folder.path() / "other", "local", clock);
    CHECK(store.has_value());
    SamplingSessions sessions(**store);
    FutureTable futures([](auto, auto) {}, {});
    TaskPool parsers(1);
    FairQueue queue(1);
    std::mutex gate;
    gate.lock(); // the only thread waits here
    queue.post("blocker", [&] { const std::scoped_lock lock(gate); });
    SamplingService service(sessions, futures, queue, parsers, [](auto, auto) {}, { 3, 100 });
    SamplingSource source;
    source.baseModel = kBase;
    source.folder = fixture.folder.path() / "none";
    const auto id = sessions.create("s", 0, source);
    CHECK(id.has_value());
    Router router;
    service.addRoutes(router);
    const auto submit = [&](std::int64_t seqId, int samples) {
        HttpRequest request;
        request.method = "POST";
        request.segments = { "api", "v1", "asample" };
        auto wanted = SampleProbe::request(*id, seqId, kPrompt);
        wanted.numSamples = samples;
        request.body = desk::encodeSample(wanted);
        HttpResponse answer;
        router.route(std::move(request),
            makeResponder([&](HttpResponse response, bool) { answer = std::move(response); }));
        return answer;
    };
    CHECK_EQUAL(submit(0, 2).status, 200);
    const auto refused = submit(1, 2);
    CHECK_EQUAL(refused.status, 429);
    CHECK(refused.headers.at(0).name == "Retry-After");
    CHECK_EQUAL(submit(1, 1).status, 200); // the same seq_id, later
    CHECK_EQUAL(futures.load().open, std::size_t { 2 });
    gate.unlock();
    queue.stop();
}

// FairQueue: a client with many tasks does not hold up one with few.
TEST(clients_take_turns)
{
    desk::local::FairQueue queue(1);
    std::mutex gate;
    gate.lock();
    std::mutex mutex;
    std::string order;
    queue.post("x", [&] { const std::scoped_lock lock(gate); });
    for (int i = 0; i < 4; ++i)
        queue.post("a", [&] {
            const std::scoped_lock lock(mutex);
            order += 'a';
        });
    for (int i = 0; i < 2; ++i)
        queue.post("b", [&] {
            const std::scoped_lock lock(mutex);
            order += 'b';
        });
    CHECK_EQUAL(queue.waiting("a"), std::size_t { 4 });
    std::mutex done;
    done.lock();
    queue.post("a", [&] { done.unlock(); });
    gate.unlock();
    const std::scoped_lock waits(done);
    const std::scoped_lock lock(mutex);
    CHECK_EQUAL(order, "ababaa");
}

} // namespace

CHECK_MAIN()
