// SPDX-License-Identifier: GPL-3.0-or-later
// Tinker's REST calls and the tokenizer hub, over a store without a trainer.
#include "services/codecs/rest_codec.h"
#include "services/local/rest/hub_routes.h"
#include "services/local/rest/tar_archive.h"
#include "services/local/rest/tinker_rest.h"
#include "tests/local/store_fixture.h"

#include <filesystem>

namespace {

using desk::CheckpointType;
using desk::check::callRouter;
using desk::check::headerOf;
using desk::local::CheckpointSpace;
using desk::local::HttpResponse;

struct RestFixture
{
    RestFixture()
        : samplers(*files.store)
        , traces(files.clock)
        , rest(*files.store, samplers, traces, pool, { "a-key-of-a-test", false })
        , hub(*files.store)
    {
        rest.addRoutes(router);
        hub.addRoutes(router);
    }
    HttpResponse call(const std::string& method, const std::string& target,
        const std::string& body = {}, std::vector<desk::local::HttpHeader> extra = {})
    {
        extra.push_back({ "Host", "127.0.0.1:1" });
        return callRouter(router, method, target, body, std::move(extra));
    }
    bool has(const HttpResponse& response, const std::string& text)
    {
        return response.body.find(text) != std::string::npos;
    }
    /// A run with a state, a sampler snapshot and an external export.
    void fillRun(const std::string& run)
    {
        files.addRun(run, 8);
        const auto job = desk::local::ObjectStore::jobOfRun(run);
        auto state = files.save(job, "0001", CheckpointType::TrainingLora, run);
        state.userMetadata = { { "step", "1" } };
        CHECK(files.store->addCheckpoint(state, false).has_value());
        files.clock.advance(std::chrono::seconds(1));
        auto sampler = files.save(job, "final", CheckpointType::InferenceLora, run);
        CHECK(files.store->addCheckpoint(sampler, false).has_value());
        auto external = files.save(job, "export", CheckpointType::InferenceLora, run);
        external.space = CheckpointSpace::External;
        external.folder = files.store->freshFolder("jobs/" + job + "/external/export");
        const auto folder = files.store->absolute(external.folder);
        desk::check::writeBytes(folder / "adapter_model.safetensors", "adapter");
        desk::check::writeBytes(folder / "adapter_config.json", "{}");
        CHECK(files.store->addCheckpoint(external, false).has_value());
    }
    /// Path and query of the link in an answer that holds one after `mark`.
    std::string linkIn(const HttpResponse& response, const std::string& mark)
    {
        const auto at = response.body.find("http://127.0.0.1:1", response.body.find(mark));
        CHECK(at != std::string::npos);
        const auto begin = at + std::string("http://127.0.0.1:1").size();
        return response.body.substr(begin, response.body.find('"', begin) - begin);
    }

    desk::check::StoreFolder files;
    desk::local::TaskPool pool { 1 };
    desk::local::SamplingSessions samplers;
    desk::local::SessionTraces traces;
    desk::local::TinkerRest rest;
    desk::local::HubRoutes hub;
    desk::local::Router router;
};

TEST(runs_are_listed_newest_first_with_a_cursor)
{
    RestFixture fixture;
    for (const char* run : { "s1:train:0", "s1:train:1", "s2:train:0" }) {
        fixture.files.addRun(run);
        fixture.files.clock.advance(std::chrono::seconds(1));
    }
    const auto first = fixture.call("GET", "/api/v1/training_runs?limit=2&offset=0");
    CHECK_EQUAL(first.status, 200);
    CHECK(fixture.has(first, R"("cursor":{"offset":0,"limit":2,"total_count":3})"));
    CHECK(first.body.find("s2:train:0") < first.body.find("s1:train:1"));
    CHECK(!fixture.has(first, "s1:train:0"));
    const auto second =
        fixture.call("GET", "/api/v1/training_runs?limit=2&offset=2&access_scope=owned");
    CHECK(fixture.has(second, "s1:train:0"));
    CHECK(fixture.has(
        fixture.call("GET", "/api/v1/training_runs?limit=2&offset=9"), R"("training_runs":[])"));
    CHECK_EQUAL(fixture.call("GET", "/api/v1/training_runs?limit=x").status, 400);
    CHECK_EQUAL(fixture.call("GET", "/api/v1/training_runs?offset=-1").status, 400);
}

TEST(a_run_tells_its_newest_saves)
{
    RestFixture fixture;
    fixture.fillRun("s1:train:0");
    const auto run = fixture.call("GET", "/api/v1/training_runs/s1:train:0?access_scope=owned");
    CHECK_EQUAL(run.status, 200);
    for (const char* text : { R"("training_run_id":"s1:train:0")",
             R"("base_model":"accounts/local/models/tiny")", R"("is_lora":true)",
             R"("lora_rank":8)", R"("corrupted":false)", R"("last_request_time":"2026-11-18T)",
             R"("tinker_path":"tinker://s1:train:0/weights/0001")",
             R"("tinker_path":"tinker://s1:train:0/sampler_weights/final")",
             R"("user_metadata":{"step":"1"})" })
        CHECK(fixture.has(run, text));
    const auto missing = fixture.call("GET", "/api/v1/training_runs/none");
    CHECK_EQUAL(missing.status, 404);
    CHECK(fixture.has(missing, R"({"detail":"the training run none was not found)"));
}

TEST(checkpoints_have_kind_type_size_and_times_with_an_offset)
{
    RestFixture fixture;
    fixture.fillRun("s1:train:0");
    const auto list = fixture.call("GET", "/api/v1/training_runs/s1:train:0/checkpoints");
    for (const char* text : { R"("checkpoint_id":"weights/0001","checkpoint_type":"training")",
             R"("checkpoint_id":"sampler_weights/final","checkpoint_type":"sampler")",
             R"("checkpoint_id":"external_weights/export","checkpoint_type":"external")",
             R"("size_bytes":7)", R"("public":false)", R"("expires_at":null)",
             R"(Z","tinker_path)" })
        CHECK(fixture.has(list, text));
    CHECK_EQUAL(fixture.call("GET", "/api/v1/training_runs/none/checkpoints").status, 404);
    const auto all = fixture.call("GET", "/api/v1/checkpoints?limit=1&offset=1");
    CHECK(fixture.has(all, R"("cursor":{"offset":1,"limit":1,"total_count":3})"));
}

TEST(a_checkpoint_is_published_once_and_withdrawn_once)
{
    RestFixture fixture;
    fixture.fillRun("s1:train:0");
    const std::string path = "/api/v1/training_runs/s1:train:0/checkpoints/weights/0001/publish";
    CHECK_EQUAL(fixture.call("DELETE", path).status, 409);
    const auto published = fixture.call("POST", path);
    CHECK_EQUAL(published.status, 204);
    CHECK_EQUAL(published.body, "");
    CHECK_EQUAL(fixture.call("POST", path).status, 409);
    CHECK(fixture.has(
        fixture.call("GET", "/api/v1/training_runs/s1:train:0/checkpoints"), R"("public":true)"));
    CHECK_EQUAL(fixture.call("DELETE", path).status, 204);
    CHECK_EQUAL(
        fixture.call("POST", "/api/v1/training_runs/s1:train:0/checkpoints/weights/none/publish")
            .status,
        404);
    CHECK_EQUAL(
        fixture.call("POST", "/api/v1/training_runs/s1:train:0/checkpoints/nothing/a/publish")
            .status,
        404);
}

TEST(time_to_live_is_set_and_lifted_and_what_expired_is_gone)
{
    RestFixture fixture;
    fixture.fillRun("s1:train:0");
    const std::string path = "/api/v1/training_runs/s1:train:0/checkpoints/sampler_weights/final";
    CHECK_EQUAL(fixture.call("PUT", path + "/ttl", R"({"ttl_seconds": 7200})").status, 204);
    const auto row =
        fixture.files.store->checkpointOfRun("s1:train:0", CheckpointSpace::Sampler, "final");
    CHECK(row->record.expires == fixture.files.clock.now() + std::chrono::seconds(7200));
    CHECK_EQUAL(fixture.call("PUT", path + "/ttl", R"({"ttl_seconds": null})").status, 204);
    CHECK(!fixture.files.store->checkpointOfRun("s1:train:0", CheckpointSpace::Sampler, "final")
               ->record.expires);
    for (const char* body : { R"({"ttl_seconds": 3599})", R"({"ttl_seconds": 315360001})",
             R"({"ttl_seconds": "x"})", "{}", "{" })
        CHECK_EQUAL(fixture.call("PUT", path + "/ttl", body).status, 400);
    CHECK_EQUAL(fixture.call("PUT", path + "/ttl", R"({"ttl_seconds": 3600})").status, 204);
    fixture.files.clock.advance(std::chrono::seconds(3600));
    // Before any sweep: neither lists nor loads know it.
    CHECK(
        !fixture.has(fixture.call("GET", "/api/v1/training_runs/s1:train:0/checkpoints"), "final"));
    CHECK_EQUAL(fixture.call("PUT", path + "/ttl", R"({"ttl_seconds": null})").status, 404);
    CHECK_EQUAL(fixture
                    .call("POST", "/api/v1/weights_info",
                        R"({"tinker_path":"tinker://s1:train:0/sampler_weights/final"})")
                    .status,
        404);
    const auto folder = fixture.files.store->absolute("jobs/s1-train-0/x/final");
    CHECK(std::filesystem::exists(folder));
    fixture.files.store->removeExpired();
    CHECK(!std::filesystem::exists(folder));
}

TEST(a_deleted_checkpoint_is_gone_with_its_files)
{
    RestFixture fixture;
    fixture.fillRun("s1:train:0");
    const std::string path = "/api/v1/training_runs/s1:train:0/checkpoints/weights/0001";
    const auto folder = fixture.files.store->absolute("jobs/s1-train-0/x/0001");
    CHECK(std::filesystem::exists(folder));
    CHECK_EQUAL(fixture.call("DELETE", path).status, 204);
    CHECK(!std::filesystem::exists(folder));
    CHECK_EQUAL(fixture.call("DELETE", path).status, 404);
}

TEST(weights_info_tells_what_a_client_must_create)
{
    RestFixture fixture;
    fixture.fillRun("s1:train:0");
    const auto info = fixture.call(
        "POST", "/api/v1/weights_info", R"({"tinker_path":"tinker://s1:train:0/weights/0001"})");
    CHECK_EQUAL(info.body,
        R"({"base_model":"accounts/local/models/tiny","is_lora":true,"lora_rank":8,)"
        R"("train_unembed":true,"train_mlp":true,"train_attn":true})");
    // A Firetitan client sends a bare name, with and without a trainer in the URL.
    for (const char* prefix : { "", "/training/v1/rlorTrainerJobs/local/s1-train-0" })
        CHECK_EQUAL(fixture
                        .call("POST", std::string(prefix) + "/api/v1/weights_info",
                            R"({"tinker_path":"0001"})")
                        .status,
            200);
    for (const char* bad : { "tinker://s1:train:0/weights", "tinker://s1:train:0/other/0001",
             "tinker://a/weights/b/c", "tinker:///weights/b" })
        CHECK_EQUAL(fixture
                        .call("POST", "/api/v1/weights_info",
                            std::string(R"({"tinker_path":")") + bad + "\"}")
                        .status,
            400);
}

TEST(external_weights_are_downloaded_by_links_that_need_no_key)
{
    RestFixture fixture;
    fixture.fillRun("s1:train:0");
    const std::string path = "/api/v1/training_runs/s1:train:0/checkpoints/";
    const auto urls = fixture.call("GET", path + "external_weights/export/external_weights_urls");
    CHECK_EQUAL(urls.status, 200);
    CHECK(
        fixture.has(urls, R"("adapter_config.json":"http://127.0.0.1:1/download/s1%3Atrain%3A0)"));
    CHECK(fixture.has(urls, R"("expires":"2026-11-18T12:06:41)"));
    const auto link = fixture.linkIn(urls, "adapter_model.safetensors");
    desk::local::HttpRequest plain;
    CHECK(desk::local::splitTarget(link, plain));
    CHECK(desk::local::TinkerRest::needsNoKey(plain));
    const auto file = fixture.call("GET", link);
    CHECK_EQUAL(file.status, 200);
    CHECK_EQUAL(file.body, "adapter");
    CHECK_EQUAL(fixture.call("GET", link + "0").status, 401);
    CHECK_EQUAL(fixture.call("GET", link.substr(0, link.find('?'))).status, 401);
    auto other = link;
    other.replace(other.find("adapter_model"), 13, "adapter_other");
    CHECK_EQUAL(fixture.call("GET", other).status, 401);
    fixture.files.clock.advance(std::chrono::hours(1));
    CHECK_EQUAL(fixture.call("GET", link).status, 401);
    const auto refused = fixture.call("GET", path + "weights/0001/external_weights_urls");
    CHECK_EQUAL(refused.status, 400);
    CHECK(fixture.has(refused, "save_weights_external"));
}

TEST(an_archive_is_a_tar_of_the_files)
{
    RestFixture fixture;
    fixture.fillRun("s1:train:0");
    const auto answer = fixture.call(
        "GET", "/api/v1/training_runs/s1:train:0/checkpoints/sampler_weights/final/archive");
    CHECK_EQUAL(answer.status, 200); // never a redirect
    const auto archive = fixture.call("GET", fixture.linkIn(answer, "url"));
    CHECK_EQUAL(archive.status, 200);
    CHECK_EQUAL(archive.body.size(), 4U * 512U); // header, content, two empty blocks
    CHECK_EQUAL(archive.body.substr(0, 17), "model.safetensors");
    CHECK_EQUAL(archive.body.substr(124, 11), "00000000007");
    CHECK_EQUAL(archive.body.substr(257, 5), "ustar");
    CHECK_EQUAL(archive.body.substr(512, 7), "weights");
    CHECK(!desk::local::tarOfFolder(fixture.files.folder.path() / "none", 1000).has_value());
}

TEST(weights_are_copied_once_per_idempotency_key)
{
    RestFixture fixture;
    fixture.fillRun("s1:train:0");
    const std::string body = R"({"source_path":"tinker://s1:train:0/weights/0001",)"
                             R"("destination_project_id":"p1","ttl_seconds":7200})";
    const std::vector<desk::local::HttpHeader> key { { "X-Idempotency-Key", "one" } };
    const auto first = fixture.call("POST", "/api/v1/copy_weights", body, key);
    CHECK_EQUAL(first.status, 200);
    CHECK(fixture.has(first, R"({"tinker_path":"tinker://copy-)"));
    CHECK(fixture.has(first, R"(:train:0/weights/0001"})"));
    CHECK_EQUAL(fixture.call("POST", "/api/v1/copy_weights", body, key).body, first.body);
    CHECK(fixture.call("POST", "/api/v1/copy_weights", body).body != first.body);
    const auto path = first.body.substr(16, first.body.size() - 18);
    const auto info =
        fixture.call("POST", "/api/v1/weights_info", R"({"tinker_path":")" + path + "\"}");
    CHECK(fixture.has(info, R"("lora_rank":8)"));
    const auto runs = fixture.call("GET", "/api/v1/training_runs?project_id=p1");
    CHECK(fixture.has(runs, R"("total_count":2)"));
    CHECK_EQUAL(fixture
                    .call("POST", "/api/v1/copy_weights",
                        R"({"source_path":"tinker://s1:train:0/weights/none",)"
                        R"("destination_project_id":"p1"})")
                    .status,
        404);
    CHECK_EQUAL(fixture
                    .call("POST", "/api/v1/copy_weights",
                        R"({"source_path":"tinker://s1:train:0/weights/0001"})")
                    .status,
        400);
}

TEST(sessions_are_listed_shown_searched_and_put_into_projects)
{
    RestFixture fixture;
    for (int i = 0; i < 3; ++i) {
        desk::local::SessionRow row;
        row.id = "s" + std::to_string(i);
        row.displayName = i == 1 ? "Night run" : "day";
        row.userMetadata = { { "recipe", i == 2 ? "rl" : "sl" } };
        if (i == 0)
            row.end = "success";
        CHECK(fixture.files.store->putSession(row).has_value());
        fixture.files.clock.advance(std::chrono::seconds(1));
    }
    fixture.files.addRun("s1:train:0");
    CHECK_EQUAL(fixture.call("GET", "/api/v1/sessions?limit=2&offset=0").body,
        R"({"sessions":["s2","s1"]})");
    CHECK_EQUAL(fixture.call("GET", "/api/v1/sessions/s1?access_scope=owned").body,
        R"({"training_run_ids":["s1:train:0"],"sampler_ids":[],)"
        R"("user_metadata":{"recipe":"sl"},"display_name":"Night run"})");
    CHECK_EQUAL(fixture.call("GET", "/api/v1/sessions/none").status, 404);
    const auto search = [&](const std::string& body) {
        return fixture.call("POST", "/api/v1/sessions/search", body);
    };
    CHECK(fixture.has(search(R"({"display_name":"run NIGHT"})"), R"("session_id":"s1")"));
    CHECK(!fixture.has(search(R"({"display_name":"run NIGHT"})"), R"("session_id":"s2")"));
    CHECK(!fixture.has(search(R"({"user_metadata":{"recipe":"rl"}})"), R"("session_id":"s1")"));
    const auto finished = search(R"({"statuses":[{"type":"client_finished"}]})");
    CHECK(fixture.has(finished,
        R"("status":{"type":"client_finished","reason":{"type":"success"},"detail":null})"));
    CHECK(!fixture.has(finished, "s1"));
    CHECK(fixture.has(
        search(R"({"statuses":[{"type":"active"}]})"), R"("status":{"type":"active"})"));
    const auto page = search(R"({"limit":2})");
    CHECK(fixture.has(page, R"("next_cursor":{"last_created_at":"2026-11-18T)"));
    const auto cursor = page.body.substr(page.body.find("\"next_cursor\":") + 14);
    const auto last = search(R"({"limit":2,"cursor":)" + cursor);
    CHECK(fixture.has(last, R"("session_id":"s0")"));
    CHECK(fixture.has(last, R"("next_cursor":null)"));
    CHECK_EQUAL(
        fixture.call("PUT", "/api/v1/sessions/s1/project", R"({"project_id":"p"})").status, 204);
    CHECK_EQUAL(fixture.files.store->session("s1")->project, "p");
    CHECK_EQUAL(fixture.call("PUT", "/api/v1/sessions/s1/project", "{}").status, 400);
    // After a while without a sign of life nobody knows.
    fixture.files.clock.advance(std::chrono::hours(1));
    CHECK(fixture.has(search("{}"), R"("status":null)"));
}

TEST(a_sessions_trace_is_a_file_for_perfetto)
{
    RestFixture fixture;
    desk::local::SessionRow row;
    row.id = "s1";
    CHECK(fixture.files.store->putSession(row).has_value());
    fixture.fillRun("s1:train:0");
    desk::local::TrainingNote step;
    step.kind = desk::local::TrainingNote::Kind::Step;
    step.session = "s1";
    step.model = "s1:train:0";
    step.seconds = 0.5;
    fixture.traces.note(step);
    const auto answer = fixture.call("GET", "/api/v1/sessions/s1/trace_export");
    CHECK(fixture.has(answer, R"({"status":"ready","url":"http://127.0.0.1:1/download/s1/trace)"));
    const auto trace = fixture.call("GET", fixture.linkIn(answer, "url"));
    CHECK_EQUAL(trace.status, 200);
    CHECK(fixture.has(trace, R"("traceEvents":[{"name":"session")"));
    CHECK(fixture.has(trace, R"("name":"save_weights","cat":"desk","ph":"X")"));
    CHECK(fixture.has(trace, R"("args":{"detail":"weights/0001"})"));
    CHECK(fixture.has(trace, R"("name":"optim_step","cat":"desk","ph":"X","ts":1795000000500000)"));
    CHECK(fixture.has(trace, R"("dur":500000)"));
}

TEST(the_account_answers_for_itself)
{
    RestFixture fixture;
    fixture.fillRun("s1:train:0");
    CHECK_EQUAL(fixture.call("GET", "/api/v1/auth/apikey/me").body,
        R"({"key_id":1,"name":"local","note":"","details":{"org_details":{"name":"local"},)"
        R"("user_details":{"email":"local@localhost.invalid"}}})");
    CHECK_EQUAL(fixture.call("DELETE", "/api/v1/auth/apikey/me").status, 400);
    CHECK_EQUAL(fixture.call("GET", "/api/v1/audit?event_type=all").body, R"({"entries":[]})");
    CHECK(fixture.has(fixture.call("GET", "/api/v1/billing/usage/checkpoints/current"),
        R"("checkpoint_count":3,"size_bytes":21)"));
    CHECK_EQUAL(fixture.call("GET", "/api/v1/billing/usage/events").status, 404);
}

struct HubFixture : RestFixture
{
    HubFixture()
    {
        desk::local::ModelRow row;
        row.id = "tiny";
        row.folder = "base/tiny";
        row.isBase = true;
        row.model.kind = "HF_BASE_MODEL";
        row.model.state = "READY";
        CHECK(files.store->addModel(row).has_value());
        const auto folder = files.store->absolute(row.folder);
        desk::check::writeBytes(folder / "config.json", "{\"model_type\":\"qwen3\"}");
        desk::check::writeBytes(folder / "tokenizer.json", "{\"version\":\"1.0\"}");
        desk::check::writeBytes(folder / "tokenizer_config.json", "{}");
        desk::check::writeBytes(folder / "model.safetensors", "secret weights");
    }
};

TEST(the_hub_describes_a_model_by_all_its_names)
{
    HubFixture fixture;
    for (const char* name : { "tiny", "accounts/local/models/tiny" }) {
        const auto model = fixture.call("GET", std::string("/hf/api/models/") + name);
        CHECK_EQUAL(model.status, 200);
        CHECK(fixture.has(model, std::string(R"("id":")") + name + "\""));
        CHECK(fixture.has(model, R"("siblings":[{"rfilename":"config.json"})"));
        CHECK(fixture.has(model, R"("private":false,"gated":false)"));
        CHECK(!fixture.has(model, "safetensors"));
        const auto sha = model.body.substr(model.body.find("\"sha\":\"") + 7, 40);
        CHECK(sha.find_first_not_of("0123456789abcdef") == std::string::npos);
        const auto tree = fixture.call(
            "GET", std::string("/hf/api/models/") + name + "/tree/main?recursive=true");
        CHECK(fixture.has(
            tree, R"([{"type":"file","oid":")" + sha + R"(","size":22,"path":"config.json"})"));
        const auto byRevision =
            fixture.call("GET", std::string("/hf/api/models/") + name + "/revision/main");
        CHECK(fixture.has(byRevision, sha));
        const auto file =
            fixture.call("GET", std::string("/hf/") + name + "/resolve/" + sha + "/tokenizer.json");
        CHECK_EQUAL(file.status, 200);
        CHECK_EQUAL(file.body, "{\"version\":\"1.0\"}");
        CHECK_EQUAL(headerOf(file, "X-Repo-Commit"), sha);
        CHECK_EQUAL(headerOf(file, "ETag").size(), 42U);
        CHECK_EQUAL(
            fixture.call("HEAD", std::string("/hf/") + name + "/resolve/main/config.json").status,
            200);
    }
}

TEST(the_hub_says_what_is_missing_in_its_own_words)
{
    HubFixture fixture;
    const auto entry = fixture.call("GET", "/hf/tiny/resolve/main/added_tokens.json");
    CHECK_EQUAL(entry.status, 404);
    CHECK_EQUAL(headerOf(entry, "X-Error-Code"), "EntryNotFound");
    CHECK_EQUAL(headerOf(entry, "X-Repo-Commit").size(), 40U);
    for (const char* path : { "/hf/other/resolve/main/config.json", "/hf/api/models/other",
             "/hf/api/models/org/other/tree/main" }) {
        const auto repository = fixture.call("GET", path);
        CHECK_EQUAL(repository.status, 404);
        CHECK_EQUAL(headerOf(repository, "X-Error-Code"), "RepoNotFound");
    }
    // Weights and what lies outside of the folder are never given away.
    for (const char* path : { "/hf/tiny/resolve/main/model.safetensors",
             "/hf/tiny/resolve/main/../../store.sqlite", "/hf/tiny/resolve/main/%2e%2e%2fkey" }) {
        const auto refused = fixture.call("GET", path);
        CHECK_EQUAL(refused.status, 404);
        CHECK(!fixture.has(refused, "secret"));
    }
    CHECK_EQUAL(
        fixture.call("GET", "/hf/api/models/tiny/tree/main/additional_chat_templates").status, 404);
    CHECK_EQUAL(fixture.call("GET", "/hf/api/whoami-v2").status, 404);
}

} // namespace

CHECK_MAIN()
