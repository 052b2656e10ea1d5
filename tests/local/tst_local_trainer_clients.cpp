// SPDX-License-Identifier: GPL-3.0-or-later
// The trainer as each client version sees it: bodies, results, paths, sessions, models, errors.
#include "tests/local/backend_fixture.h"
#include "tests/local/tinker_probe.h"
#include "tests/support/check.h"

#include <cmath>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include <zstd.h>

namespace {

using desk::FutureReply;
using desk::check::BackendFixture;
using desk::check::BackendProbe;
using desk::check::TinkerProbe;

constexpr const char* kProtobuf = "application/x-protobuf";

bool holds(const std::string& text, std::string_view part)
{
    return text.find(part) != std::string::npos;
}

std::string packed(const std::string& plain)
{
    std::string frame(ZSTD_compressBound(plain.size()), '\0');
    frame.resize(ZSTD_compress(frame.data(), frame.size(), plain.data(), plain.size(), 3));
    return frame;
}

/// One request on a connection of its own, with a content type other than JSON.
desk::check::RawConnection::Reply postBytes(const BackendFixture& fixture, const std::string& path,
    const std::string& body, const std::string& headers)
{
    auto key = desk::check::fileBytes(fixture.folder.path() / "key");
    key.pop_back();
    desk::check::RawConnection connection(fixture.probe.port());
    connection.send("POST /api/v1/" + path + " HTTP/1.1\r\nHost: a\r\nX-Api-Key: " + key + "\r\n"
        + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return connection.readReply();
}

TEST(TK21_01_protobuf_zstd_and_json_give_one_result)
{
    BackendFixture fixture;
    TinkerProbe client(fixture.probe, "0.38.0");
    CHECK(client.create(TinkerProbe::rank(4)).state == FutureReply::State::Done);
    const auto json =
        desk::decodeForwardResult(client.result(client.submit(client.forward(false))).result);
    CHECK(json.has_value());
    for (const bool isPacked : { false, true }) {
        auto body = *desk::encodeForwardProto(client.forward(false));
        if (isPacked)
            body = packed(body);
        const auto submitted = postBytes(fixture, "forward_backward", body,
            std::string("Content-Type: ") + kProtobuf
                + (isPacked ? "\r\nContent-Encoding: zstd\r\n" : "\r\n"));
        CHECK_EQUAL(submitted.status, 200);
        const auto ref = desk::decodeFutureRef(submitted.body);
        const auto reply = client.poll(ref->requestId, kProtobuf);
        CHECK(holds(reply.head, "Content-Type: application/x-protobuf"));
        const auto proto = desk::decodeForwardResultProto(reply.body);
        CHECK(proto.has_value());
        CHECK(proto->outputs == json->outputs);
        CHECK(proto->metrics == json->metrics);
        // The same future as JSON, for a poller that does not take the other form.
        const auto again = client.poll(ref->requestId, "application/json");
        CHECK(holds(again.head, "Content-Type: application/json"));
        CHECK(desk::decodeForwardResult(again.body)->outputs == json->outputs);
    }
}

TEST(TK21_02_failures_and_pending_answers_are_json_on_the_same_route)
{
    BackendFixture fixture;
    fixture.config.futures.hold = std::chrono::milliseconds(1);
    fixture.restart();
    TinkerProbe client(fixture.probe, "0.38.0");
    client.create(TinkerProbe::rank(4));
    auto wanted = client.forward(true);
    wanted.lossFn = "stable_reinforce";
    const auto body = *desk::encodeForwardProto(wanted);
    const auto submitted = postBytes(
        fixture, "forward_backward", body, std::string("Content-Type: ") + kProtobuf + "\r\n");
    const auto failed = client.poll(desk::decodeFutureRef(submitted.body)->requestId, kProtobuf);
    CHECK(holds(failed.head, "Content-Type: application/json"));
    CHECK(holds(failed.body, R"("category":"user")"));
    CHECK(holds(failed.body, "importance_sampling"));
}

TEST(damaged_and_oversized_bodies_are_refused_with_a_detail)
{
    BackendFixture fixture;
    const std::string zstd = "Content-Encoding: zstd\r\n";
    const auto frame = packed(std::string(1000, 'x'));
    for (const auto& body :
        { std::string("not zstd"), frame.substr(0, frame.size() - 3), frame + "tail" }) {
        const auto reply = postBytes(fixture, "forward_backward", body, zstd);
        CHECK_EQUAL(reply.status, 400);
        CHECK(holds(reply.body, R"("detail":")"));
    }
    CHECK_EQUAL(postBytes(fixture, "optim_step", "{}", "Content-Encoding: br\r\n").status, 400);
    // A bomb: 200 MiB of zeros in a few kilobytes.
    const auto bomb = packed(std::string(std::size_t { 200 } << 20, '\0'));
    CHECK(bomb.size() < 100'000);
    const auto reply = postBytes(fixture, "forward_backward", bomb, zstd);
    CHECK_EQUAL(reply.status, 400);
    CHECK(holds(reply.body, "128 MiB"));
}

TEST(FW21_01_bad_chunks_fail_in_their_future_and_the_client_trains_on)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TinkerProbe client(fixture.probe, "1.2.30", "j");
    CHECK(client.create(TinkerProbe::rank(0)).state == FutureReply::State::Done);
    const auto before = client.loss();
    const auto model = client.model();
    const auto chunk = [&](const std::string& datum, const std::string& loss) {
        return R"({"forward_backward_input":{"data":[)" + datum + R"(],)" + loss
            + R"(},"model_id":")" + model + R"(","seq_id":)" + std::to_string(client.next()) + '}';
    };
    const std::string text =
        R"({"model_input":{"chunks":[{"tokens":[1,2],"type":"encoded_text"}]},)";
    const std::string good =
        text + R"("loss_fn_inputs":{"target_tokens":{"data":[2,3],"dtype":"int64"}}})";
    const std::string plain = R"("loss_fn":"cross_entropy")";
    const std::vector<std::pair<std::string, std::string>> cases {
        { chunk(text + R"("loss_fn_inputs":{}})", plain), "target_tokens" },
        { chunk(
              text + R"("loss_fn_inputs":{"target_tokens":{"data":[2],"dtype":"int64"}}})", plain),
            "atum 0" },
        { chunk(text + R"("loss_fn_inputs":{"target_tokens":{"data":[2,999999],"dtype":"int64"}}})",
              plain),
            "atum 0" },
        { chunk(R"({"model_input":{"chunks":[{"data":"","format":"png","type":"image"}]}})", plain),
            "image" },
        { chunk(good, R"("loss_fn":"no_such_loss")"), "cross_entropy" },
        { chunk(good, R"("loss_fn":"cross_entropy","loss_fn_config":{"flag":true,"n":3,"s":"x"})"),
            "flag" },
        { chunk(good, R"("loss_fn":"cross_entropy","loss_fn_config":{"output":"embedding"})"), "" },
        { chunk({}, plain), "" },
        { "not json", "" },
        { R"({"model_id":"nobody","seq_id":1,"forward_backward_input":{"data":[)" + good + "],"
                + plain + "}}",
            "not live" },
    };
    for (const auto& [body, word] : cases) {
        const auto submitted = client.post("forward_backward", body);
        CHECK_EQUAL(submitted.status, 200);
        const auto reply = client.result(submitted);
        CHECK(reply.state == FutureReply::State::Failed);
        if (!holds(reply.error, word))
            desk::check::fail(__FILE__, __LINE__, reply.error + " lacks " + word);
    }
    // No part of any of them became a gradient: a step now is one with zero gradient.
    CHECK(client.optimStep().state == FutureReply::State::Done);
    CHECK_EQUAL(client.loss(), before);
    client.step();
    CHECK(client.loss() < before);
}

TEST(FW21_02_swapped_arrival_gives_the_same_bits)
{
    std::vector<std::string> results;
    for (const bool isSwapped : { false, true }) {
        BackendFixture fixture;
        fixture.probe.createJob("j");
        TinkerProbe client(fixture.probe, "1.2.30", "j");
        client.create(TinkerProbe::rank(0));
        std::vector<desk::ForwardRequest> chunks { client.forward(true, 0),
            client.forward(true, 90) };
        if (isSwapped)
            std::swap(chunks[0], chunks[1]);
        std::vector<desk::check::RawConnection::Reply> submitted;
        for (const auto& chunk : chunks)
            submitted.push_back(client.submit(chunk));
        client.optimStep();
        for (const auto& reply : submitted)
            CHECK(client.result(reply).state == FutureReply::State::Done);
        results.push_back(client.result(client.submit(client.forward(false))).result);
    }
    CHECK_EQUAL(results[0], results[1]);
}

TEST(FW21_08_both_decimal_forms_are_one_number)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TinkerProbe client(fixture.probe, "1.2.30", "j");
    const auto created = client.create(TinkerProbe::rank(0));
    CHECK(holds(created.result, R"("comms":"v2")"));
    CHECK(!holds(created.result, "rdma"));
    std::vector<std::string> results;
    for (const std::string weight : { "0.10000000149011612", "0.1" })
        results.push_back(
            client
                .result(client.post("forward_backward",
                    R"({"comms":"v2","forward_backward_input":{"data":[{"loss_fn_inputs":)"
                    R"({"target_tokens":{"data":[2,3],"dtype":"int64","shape":[2]},)"
                    R"("weights":{"data":[)"
                        + weight + "," + weight
                        + R"(],"dtype":"float32","shape":[2]}},"model_input":{"chunks":)"
                          R"([{"tokens":[1,2],"type":"encoded_text"}]}}],"loss_fn":)"
                          R"("cross_entropy"},"model_id":")"
                        + client.model() + R"(","seq_id":)" + std::to_string(client.next()) + "}"))
                .result);
    CHECK_EQUAL(results[0], results[1]);
}

TEST(FW21_07_each_client_gets_its_own_form_of_paths)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TinkerProbe fireworks(fixture.probe, "1.2.30", "j");
    fireworks.create(TinkerProbe::rank(0));
    TinkerProbe older(fixture.probe, "0.23.0");
    older.create(TinkerProbe::rank(4));
    TinkerProbe newer(fixture.probe, "0.38.0");
    newer.create(TinkerProbe::rank(4));
    CHECK_EQUAL(TinkerProbe::pathOf(fireworks.saveState("step-4")), "step-4");
    CHECK_EQUAL(TinkerProbe::pathOf(fireworks.saveSampler("s-0123abcd", "base")), "s-0123abcd");
    for (auto* tinker : { &older, &newer }) {
        CHECK_EQUAL(TinkerProbe::pathOf(tinker->saveState("a")),
            "tinker://" + tinker->model() + "/weights/a");
        CHECK_EQUAL(TinkerProbe::pathOf(tinker->saveSampler("a", {})),
            "tinker://" + tinker->model() + "/sampler_weights/a");
    }
    // load_state(save_state(n).result().path) in each form; a repeated name replaces or is refused.
    CHECK(fireworks.load("step-4", true).state == FutureReply::State::Done);
    CHECK(newer.load("tinker://" + newer.model() + "/weights/a", false).state
        == FutureReply::State::Done);
    CHECK(fireworks.saveState("step-4").state == FutureReply::State::Done);
    CHECK_EQUAL(newer.saveState("a").category, "user");
    CHECK(newer.saveState("a", true).state == FutureReply::State::Done);
    for (const std::string path : { "tinker://x/weights", "tinker://a/b/c/d",
             "cross_job://nobody/a", "gs://bucket/a", "/etc/passwd", "no-such-state", "../up" })
        CHECK_EQUAL(fireworks.load(path, true).category, "user");
}

TEST(FW21_04_states_of_stopped_and_deleted_jobs_are_loaded)
{
    BackendFixture fixture;
    double saved = 0;
    {
        fixture.probe.createJob("a");
        TinkerProbe client(fixture.probe, "1.2.30", "a");
        client.create(TinkerProbe::rank(0));
        client.step();
        TinkerProbe::pathOf(client.saveState("step-1"));
        saved = client.loss();
    }
    fixture.probe.createJob("b");
    TinkerProbe client(fixture.probe, "1.2.30", "b");
    client.create(TinkerProbe::rank(0));
    const auto reload = [&] {
        client.step();
        const auto reply = client.load("cross_job://a/step-1", true);
        if (reply.state != FutureReply::State::Done)
            desk::check::fail(__FILE__, __LINE__, reply.error);
        CHECK_EQUAL(client.loss(), saved);
    };
    reload();
    fixture.probe.call("POST", BackendProbe::accountPath("/rlorTrainerJobs/a:cancel"), "{}");
    reload();
    fixture.probe.call("DELETE", BackendProbe::accountPath("/rlorTrainerJobs/a"));
    reload();
}

TEST(lora_models_save_whole_adapters_and_come_back_exactly)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TinkerProbe client(fixture.probe, "1.2.30", "j");
    CHECK(client.create(TinkerProbe::rank(8)).state == FutureReply::State::Done);
    CHECK(holds(client.post("get_info", desk::encodeModelRequest(client.model(), "get_info")).body,
        R"("is_lora":true,"lora_rank":8)"));
    const auto untrained = client.saveSampler("merged-0", "merged_base");
    CHECK_EQUAL(untrained.category, "user");
    client.step();
    for (const std::string type : { "base", "delta" })
        TinkerProbe::pathOf(client.saveSampler(type + "-1", type));
    TinkerProbe::pathOf(client.saveSampler("merged-1", "merged_base"));
    TinkerProbe::pathOf(client.saveState("state-1"));
    for (const auto& row : fixture.probe.checkpoints("j")) {
        using Type = desk::CheckpointType;
        const bool isState = holds(row.name, "state-1");
        CHECK(row.type
            == (isState                         ? Type::TrainingLora
                    : holds(row.name, "merged") ? Type::InferenceBase
                                                : Type::InferenceLora));
        CHECK_EQUAL(row.isPromotable, !isState);
        const std::filesystem::path folder = row.path;
        if (row.type == Type::InferenceLora) {
            CHECK(std::filesystem::exists(folder / "adapter_config.json"));
            CHECK(std::filesystem::exists(folder / "adapter_model.safetensors"));
        }
    }
    const auto saved = client.loss();
    client.step();
    const auto after = client.loss();
    CHECK(after != saved);
    CHECK(client.load("state-1", true).state == FutureReply::State::Done);
    CHECK_EQUAL(client.loss(), saved);
    client.step();
    CHECK_EQUAL(client.loss(), after); // moments came back too
    CHECK(client.load("state-1", false).state == FutureReply::State::Done);
    client.step();
    CHECK(client.loss() != after); // a fresh optimizer
    // The adapter alone, into a fresh model.
    TinkerProbe other(fixture.probe, "1.2.30", "j");
    other.create(TinkerProbe::rank(8));
    const auto loaded = other.result(other.post(
        "load_adapter", desk::encodeLoadAdapter({ other.model(), "base-1", other.next() })));
    CHECK(holds(loaded.result, R"("type":"load_adapter")"));
    CHECK(std::abs(other.loss() - saved) < 1e-3);
}

TEST(models_that_cannot_be_are_user_errors_that_say_why)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TinkerProbe client(fixture.probe, "1.2.30", "j");
    for (const int rank : { 129, -1 }) {
        const auto reply = client.create(TinkerProbe::rank(rank));
        CHECK_EQUAL(reply.category, "user");
        CHECK(holds(reply.error, "rank"));
    }
    CHECK(client.create(TinkerProbe::rank(128)).state == FutureReply::State::Done);
    auto nora = TinkerProbe::rank(4);
    nora.initMethod = "nora";
    CHECK(holds(client.create(nora).error, "nora"));
    const auto body = [&](int n, const std::string& rest) {
        return R"({"session_id":")" + client.session() + R"(","model_seq_id":)" + std::to_string(n)
            + R"(,"base_model":")" + BackendProbe::baseModel() + R"(")" + rest + "}";
    };
    CHECK(holds(
        client.result(client.post("create_model", body(50, R"(,"projection_head_dim":3)"))).error,
        "projection"));
    CHECK(holds(client
                    .result(client.post("create_model",
                        body(51, R"(,"optimizer_config":{"type":"dimuon","version":1})")))
                    .error,
        "adamw"));
    CHECK_EQUAL(client.post("create_model", "{}").status, 400);
    // A reference model answers forward and nothing else.
    CHECK(client.create({}, true).state == FutureReply::State::Done);
    CHECK(client.loss() > 0);
    CHECK_EQUAL(client.result(client.submit(client.forward(true))).category, "user");
    CHECK_EQUAL(client.optimStep().category, "user");
    CHECK_EQUAL(client.saveState("x").category, "user");
    // Another family of optimizer than the model's.
    client.create(TinkerProbe::rank(4));
    CHECK(holds(client
                    .result(client.post("optim_step",
                        R"({"model_id":")" + client.model() + R"(","seq_id":)"
                            + std::to_string(client.next())
                            + R"(,"optimizer_params":{"type":"dimuon","learning_rate":0.1}})"))
                    .error,
        "dimuon"));
}

TEST(TK21_03_a_model_made_from_a_save_goes_on_exactly)
{
    BackendFixture fixture;
    std::string path;
    std::string snapshot;
    double next = 0;
    {
        TinkerProbe client(fixture.probe, "0.38.0");
        auto lora = TinkerProbe::rank(6);
        lora.alpha = 20;
        lora.trainsUnembed = false;
        client.create(lora);
        client.step();
        path = TinkerProbe::pathOf(client.saveState("a"));
        snapshot = TinkerProbe::pathOf(client.saveSampler("w", {}));
        client.step();
        next = client.loss();
    }
    fixture.restart(); // from another process
    TinkerProbe client(fixture.probe, "0.38.0");
    const auto made = client.createFrom(path, true);
    CHECK(holds(made.result, R"("model_id":")" + client.session() + R"(:train:0")"));
    CHECK(holds(client.post("get_info", desk::encodeModelRequest(client.model(), "get_info")).body,
        R"("lora_rank":6)"));
    client.step(); // its first own request has number 1
    CHECK_EQUAL(client.loss(), next);
    CHECK(client.createFrom(path, false).state == FutureReply::State::Done);
    client.step();
    CHECK(client.loss() != next);
    CHECK(client.createFrom(snapshot, false).state == FutureReply::State::Done);
    CHECK_EQUAL(client.createFrom(snapshot, true).category, "user");
    CHECK_EQUAL(client.createFrom("tinker://nobody/weights/a", true).category, "user");
}

TEST(saves_without_a_name_become_sampling_sessions)
{
    BackendFixture fixture;
    for (const int rank : { 0, 4 }) {
        TinkerProbe client(fixture.probe, "0.38.0");
        client.create(TinkerProbe::rank(rank));
        client.step();
        const auto reply = client.saveSampler({}, {});
        const auto read = desk::decodeWeightsResult(reply.result);
        CHECK(read.has_value());
        CHECK(holds(reply.result, R"("path":null)"));
        CHECK_EQUAL(read->samplingSessionId, client.session() + ":sample:7");
        CHECK_EQUAL(client.call("GET", "samplers/" + read->samplingSessionId, {}).status, 200);
    }
}

TEST(TK21_07_finish_ends_a_session_once_and_for_all)
{
    BackendFixture fixture;
    TinkerProbe client(fixture.probe, "0.38.0");
    client.create(TinkerProbe::rank(4));
    const auto path = TinkerProbe::pathOf(client.saveState("kept"));
    const auto heartbeat = [&] {
        return client.post("session_heartbeat", desk::encodeHeartbeat(client.session())).status;
    };
    CHECK_EQUAL(heartbeat(), 200);
    const auto finish = "sessions/" + client.session() + "/finish";
    CHECK_EQUAL(client.post(finish, R"({"reason":{"type":"nonsense"}})").status, 400);
    const auto ended = client.post(finish, R"({"reason":{"type":"success"},"detail":null})");
    CHECK_EQUAL(ended.status, 204);
    CHECK_EQUAL(ended.body, "");
    CHECK_EQUAL(client.post(finish, R"({"reason":{"type":"errored"},"detail":"x"})").status, 204);
    CHECK_EQUAL(heartbeat(), 410);
    CHECK_EQUAL(
        client.post("sessions/nobody/finish", R"({"reason":{"type":"success"}})").status, 404);
    CHECK_EQUAL(client.create(TinkerProbe::rank(4)).category, "user");
    CHECK(client.result(client.submit(client.forward(true))).state == FutureReply::State::Failed);
    TinkerProbe other(fixture.probe, "0.38.0");
    CHECK(other.createFrom(path, true).state == FutureReply::State::Done);
}

TEST(handshakes_and_telemetry_answer_every_client_and_keep_no_key)
{
    BackendFixture fixture;
    TinkerProbe client(fixture.probe, "0.23.0");
    CHECK(holds(client.post("client/config", R"({"sdk_version":"0.23.0"})").body,
        R"("parallel_fwdbwd_chunks":true)"));
    CHECK(!holds(client.post("client/config", R"({"sdk_version":"0.23.0"})").body, "proto_write"));
    CHECK_EQUAL(client.post("client/dynamic_config", R"({"sdk_version":"0.38.0"})").status, 200);
    const std::string secret = "fw_3ZtelemetrySecret";
    for (const std::string path :
        { "/api/v1/telemetry", "/training/v1/rlorTrainerJobs/local/never-was/api/v1/telemetry" })
        for (const std::string& body :
            { R"({"events":[{"event_data":{"request_headers":{"x-api-key":")" + secret
                    + R"("}}}],"session_id":"s"})",
                std::string("not json") }) {
            const auto reply = fixture.probe.call("POST", path, body);
            CHECK_EQUAL(reply.status, 200);
            CHECK_EQUAL(reply.body, R"({"status":"accepted"})");
        }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(fixture.folder.path()))
        if (entry.is_regular_file())
            CHECK(!holds(desk::check::fileBytes(entry.path()), secret));
    const auto capabilities = client.call("GET", "get_server_capabilities", {}).body;
    CHECK(holds(capabilities, R"("model_name":"accounts/local/models/desk-tiny")"));
    CHECK(holds(capabilities, R"("trainable":true,"sampleable":true)"));
}

TEST(every_refusal_has_its_status_and_a_detail)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TinkerProbe client(fixture.probe, "1.2.30", "j");
    client.create(TinkerProbe::rank(0));
    struct Refusal
    {
        std::string name;
        std::string body;
        int status;
    };
    for (const auto& wanted :
        std::vector<Refusal> { { "create_session", "{", 400 }, { "create_model", "[]", 400 },
            { "get_info", R"({"model_id":"nobody"})", 404 }, { "get_info", "{}", 400 },
            { "optim_step", "null", 400 }, { "save_weights", "{}", 400 },
            { "load_weights", R"({"path":7})", 400 }, { "save_weights_for_sampler", "{}", 400 },
            { "save_weights_external", "{}", 400 }, { "load_adapter", "{}", 400 },
            { "unload_model", "{}", 400 }, { "session_heartbeat", "{}", 400 },
            { "session_heartbeat", R"({"session_id":"nobody"})", 404 },
            { "retrieve_future", R"({"request_id":"0123abcd-9"})", 404 },
            { "retrieve_future", "{}", 400 }, { "nothing_of_this_name", "{}", 404 },
            { "optim_step",
                R"({"model_id":"m","seq_id":1,"grad_accumulation_normalization":"zzz"})", 400 } }) {
        const auto reply = client.post(wanted.name, wanted.body);
        if (reply.status != wanted.status)
            desk::check::fail(__FILE__, __LINE__,
                wanted.name + " " + wanted.body + ": " + std::to_string(reply.status));
        CHECK(holds(reply.body, R"("detail":")"));
    }
    CHECK_EQUAL(
        fixture.probe.call("POST", BackendProbe::trainerPath("never-was", "create_session"), "{}")
            .status,
        404);
    CHECK_EQUAL(
        desk::check::request(fixture.probe.port(), "POST", "/api/v1/create_session", "{}").status,
        401);
    CHECK_EQUAL(client.result(client.post("create_custom_loss", "{}")).category, "user");
    CHECK_EQUAL(
        client.result(client.post("weight_sync", R"({"hotload_headers":{}})")).category, "user");
}

TEST(an_unloaded_model_is_gone_and_its_pending_work_fails)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TinkerProbe client(fixture.probe, "1.2.30", "j");
    client.create(TinkerProbe::rank(0));
    const auto body = desk::encodeModelRequest(client.model(), "unload_model");
    const auto unloaded = client.result(client.post("unload_model", body));
    CHECK(holds(unloaded.result, R"("type":"unload_model")"));
    CHECK_EQUAL(client.post("get_info", body).status, 404);
    CHECK(client.result(client.submit(client.forward(true))).state == FutureReply::State::Failed);
    CHECK(client.result(client.post("unload_model", body)).state == FutureReply::State::Done);
}

TEST(external_saves_are_what_other_tools_load)
{
    BackendFixture fixture;
    TinkerProbe client(fixture.probe, "0.38.0");
    client.create(TinkerProbe::rank(4));
    client.step();
    const auto save = [&](const std::string& rest) {
        return client.result(client.post("save_weights_external",
            R"({"model_id":")" + client.model() + R"(","path":"e","seq_id":)"
                + std::to_string(client.next()) + rest + "}"));
    };
    CHECK_EQUAL(save(R"(,"ttl_seconds":5)").category, "user");
    CHECK_EQUAL(save(R"(,"age_encryption_recipients":["age1x"])").category, "user");
    const auto saved = save(R"(,"ttl_seconds":3600)");
    CHECK_EQUAL(TinkerProbe::pathOf(saved), "tinker://" + client.model() + "/external_weights/e");
    CHECK(desk::decodeWeightsResult(saved.result)->sizeBytes.value_or(0) > 1000);
}

TEST(too_much_queued_work_is_told_to_come_back)
{
    BackendFixture fixture;
    fixture.config.trainers.queuedBytes = 20'000;
    fixture.restart();
    TinkerProbe client(fixture.probe, "0.38.0");
    client.create(TinkerProbe::rank(4));
    std::vector<desk::check::RawConnection::Reply> taken;
    desk::check::RawConnection::Reply refused;
    desk::ForwardRequest again;
    for (int i = 0; i < 2000 && refused.status == 0; ++i) {
        auto wanted = client.forward(true);
        const auto datum = wanted.data.front();
        wanted.data.insert(wanted.data.end(), 20, datum); // slower than the wire
        auto reply = client.submit(wanted);
        if (reply.status == 200) {
            taken.push_back(std::move(reply));
        } else {
            refused = std::move(reply);
            again = wanted;
        }
    }
    CHECK_EQUAL(refused.status, 429);
    CHECK(holds(refused.head, "Retry-After: 1"));
    CHECK(holds(refused.body, R"("detail":")"));
    for (const auto& reply : taken)
        CHECK(client.result(reply).state == FutureReply::State::Done);
    CHECK(client.result(client.submit(again)).state == FutureReply::State::Done);
    CHECK(client.optimStep().state == FutureReply::State::Done);
}

TEST(TK21_12_models_of_clients_that_were_killed_give_way)
{
    BackendFixture fixture;
    fixture.config.trainers.models = 2;
    fixture.config.trainers.silence = std::chrono::milliseconds(300);
    fixture.restart();
    TinkerProbe first(fixture.probe, "0.38.0");
    TinkerProbe second(fixture.probe, "0.38.0");
    CHECK(first.create(TinkerProbe::rank(4)).state == FutureReply::State::Done);
    CHECK(second.create(TinkerProbe::rank(4)).state == FutureReply::State::Done);
    TinkerProbe third(fixture.probe, "0.38.0");
    auto reply = third.create(TinkerProbe::rank(4));
    CHECK(holds(reply.error, "2 live models at most"));
    for (int i = 0; i < 500 && reply.state != FutureReply::State::Done; ++i) {
        CHECK_EQUAL(first.post("session_heartbeat", desk::encodeHeartbeat(first.session())).status,
            200); // the other one is silent
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        reply = third.create(TinkerProbe::rank(4));
    }
    CHECK(reply.state == FutureReply::State::Done);
    CHECK(first.loss() > 0);
    CHECK(holds(second.result(second.submit(second.forward(false))).error, "not live"));
}

TEST(several_models_share_the_machine_and_64_futures_are_few_polls)
{
    BackendFixture fixture;
    fixture.probe.createJob("j");
    TinkerProbe busy(fixture.probe, "1.2.30", "j");
    busy.create(TinkerProbe::rank(0));
    TinkerProbe single(fixture.probe, "1.2.30", "j");
    single.create(TinkerProbe::rank(0));
    std::vector<desk::check::RawConnection::Reply> queue;
    for (int i = 0; i < 64; ++i)
        queue.push_back(busy.submit(busy.forward(true, static_cast<std::size_t>(i))));
    CHECK(single.result(single.submit(single.forward(true))).state == FutureReply::State::Done);
    // The other one's queue had not to be empty for that: its last result is still to come or
    // came a moment ago, in any case everything ends well.
    for (const auto& submitted : queue)
        CHECK(busy.result(submitted).state == FutureReply::State::Done);
    CHECK(busy.optimStep().state == FutureReply::State::Done);
}

} // namespace

CHECK_MAIN()
