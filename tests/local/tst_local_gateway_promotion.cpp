// SPDX-License-Identifier: GPL-3.0-or-later
// Promotions: both forms of the request, both forms of the answer, base models and adapters.
#include "services/codecs/error_codec.h"
#include "services/local/gateway/promoter.h"
#include "tests/local/backend_fixture.h"
#include "tests/local/store_fixture.h"
#include "tests/support/check.h"

#include <filesystem>
#include <string>

namespace {

using desk::CheckpointType;
using desk::check::BackendFixture;
using desk::check::BackendProbe;
using desk::check::TrainingProbe;

bool has(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

/// A backend with a base snapshot "b1" of job "j".
struct PromotionFixture : BackendFixture
{
    PromotionFixture()
    {
        probe.createJob("j");
        TrainingProbe training(probe, "j");
        training.saveSampler("b1", "base");
    }
    desk::check::RawConnection::Reply promote(const std::string& body,
        const std::string& path = BackendProbe::accountPath("/checkpoints/b1:promote"))
    {
        return probe.call("POST", path, body);
    }
};

std::string snake(const std::string& model, const std::string& more = {})
{
    return R"({"output_model":"accounts/local/models/)" + model
        + R"(","trainer_job_id":"accounts/local/rlorTrainerJobs/j",)"
          R"("base_model":"accounts/local/models/desk-tiny")"
        + more + "}";
}

TEST(without_async_promotion_the_answer_is_the_model)
{
    PromotionFixture fixture;
    const auto reply = fixture.promote(snake("plain"));
    CHECK_EQUAL(reply.status, 200);
    CHECK(has(reply.body, R"({"model":{"name":"accounts/local/models/plain")"));
    CHECK(!has(reply.body, "operation"));
    const auto model = desk::decodePromoteAnswer(reply.body)->model;
    CHECK_EQUAL(model->state, "READY");
    CHECK_EQUAL(model->kind, "HF_BASE_MODEL");
    CHECK(std::filesystem::exists(std::filesystem::path(model->path) / "model.safetensors"));
    const auto camel = fixture.promote(
        R"({"outputModel":"accounts/local/models/camel","trainerJobId":"accounts/local/rlorTrainerJobs/j",)"
        R"("baseModel":"accounts/local/models/desk-tiny"})");
    CHECK(has(camel.body, R"({"model":{"name":"accounts/local/models/camel")"));
}

TEST(with_async_promotion_it_is_an_operation_that_is_mostly_done_already)
{
    PromotionFixture fixture;
    const auto answer = desk::decodePromoteAnswer(
        fixture.promote(snake("later", R"(,"async_promotion":true)")).body);
    CHECK(answer->operation.has_value());
    CHECK(answer->operation->isDone); // so no client waits ten seconds for its first look
    CHECK(answer->operation->response.has_value());
    const auto again = fixture.probe.call("GET", "/v1/" + answer->operation->name);
    CHECK(has(again.body, R"("done":true)"));
    CHECK(has(again.body, R"("@type":"type.googleapis.com/gateway.Model")"));
    CHECK_EQUAL(
        fixture.probe.call("GET", BackendProbe::accountPath("/operations/none")).status, 404);
    // The same promotion in either form is the same model.
    const auto repeated = desk::decodePromoteAnswer(fixture.promote(snake("later")).body);
    CHECK(repeated->model->created == answer->operation->response->created);
}

TEST(a_promoted_model_inherits_what_its_base_says_of_itself)
{
    PromotionFixture fixture;
    fixture.promote(snake("child"));
    const auto base =
        desk::decodeModel(fixture.probe.call("GET", "/v1/accounts/local/models/desk-tiny").body);
    const auto child =
        desk::decodeModel(fixture.probe.call("GET", "/v1/accounts/local/models/child").body);
    CHECK(base->contextLength.has_value());
    CHECK(child->contextLength == base->contextLength);
    CHECK(child->parameterCount == base->parameterCount);
    CHECK_EQUAL(child->modelType, base->modelType);
    CHECK(child->isMoe == base->isMoe);
    CHECK(has(child->json, R"("checkpointFormat": "HUGGINGFACE")"));
    CHECK_EQUAL(child->fineTuningJob, "accounts/local/rlorTrainerJobs/j");
    CHECK_EQUAL(child->displayName, "child");
    fixture.restart();
    CHECK_EQUAL(
        desk::decodeModel(fixture.probe.call("GET", "/v1/accounts/local/models/child").body)->json,
        child->json);
}

TEST(the_older_forms_of_the_request_find_the_same_row)
{
    PromotionFixture fixture;
    fixture.probe.createDeployment("d", 1, "j");
    // The deprecated argument beside the job, and instead of it.
    CHECK_EQUAL(
        fixture.promote(snake("m1", R"(,"hot_load_deployment_id":"accounts/local/deployments/x")"))
            .status,
        200);
    CHECK_EQUAL(fixture
                    .promote(R"({"output_model":"accounts/local/models/m2",)"
                             R"("base_model":"accounts/local/models/desk-tiny",)"
                             R"("hot_load_deployment_id":"accounts/local/deployments/d"})")
                    .status,
        200);
    CHECK_EQUAL(fixture
                    .promote(R"({"output_model":"accounts/local/models/m3",)"
                             R"("base_model":"accounts/local/models/desk-tiny"})")
                    .status,
        200);
    // By the four-segment name in the path.
    CHECK_EQUAL(fixture
                    .promote(R"({"output_model":"accounts/local/models/m4",)"
                             R"("base_model":"accounts/local/models/desk-tiny"})",
                        BackendProbe::accountPath("/rlorTrainerJobs/j/checkpoints/b1:promote"))
                    .status,
        200);
}

TEST(refused_promotions_have_the_status_of_their_reason)
{
    PromotionFixture fixture;
    fixture.probe.createJob("other");
    struct Case
    {
        std::string body;
        int status;
        int code;
        const char* words;
    };
    const auto job = [](const char* name) {
        return std::string(R"({"output_model":"accounts/local/models/m","trainer_job_id":")") + name
            + R"(","base_model":"accounts/local/models/desk-tiny"})";
    };
    const Case cases[] {
        { "{", 400, 3, "" },
        { "{}", 400, 3, "output_model" },
        { R"({"output_model":"accounts/local/models/m"})", 400, 3, "base_model" },
        { R"({"output_model":"m","base_model":"accounts/local/models/desk-tiny"})", 400, 3,
            "full model name" },
        { snake("Bad_Id"), 400, 3, "contains invalid characters" },
        { snake(std::string(64, 'a')), 400, 3, "too long" },
        { R"({"output_model":"accounts/other/models/m","base_model":"accounts/local/models/desk-tiny"})",
            400, 3, "accounts/local/models" },
        { R"({"output_model":"accounts/local/models/m","base_model":"accounts/fireworks/models/other"})",
            400, 3, "send base_model accounts/local/models/desk-tiny" },
        { snake("desk-tiny"), 409, 6, "exists" },
        { job("accounts/local/rlorTrainerJobs/other"), 404, 5, "b1" },
        { job("accounts/local/rlorTrainerJobs/none"), 404, 5, "b1" },
        { job("accounts/other/rlorTrainerJobs/j"), 404, 5, "account other" },
    };
    for (const auto& one : cases) {
        const auto reply = fixture.promote(one.body);
        CHECK_EQUAL(reply.status, one.status);
        CHECK(has(reply.body, "{\"code\":" + std::to_string(one.code) + ","));
        CHECK(has(desk::decodeErrorMessage(reply.body), one.words));
    }
    CHECK_EQUAL(
        fixture.promote(snake("m"), "/v1/accounts/other/checkpoints/b1:promote").status, 404);
    CHECK_EQUAL(
        fixture.promote(snake("m"), BackendProbe::accountPath("/checkpoints/none:promote")).status,
        404);
    // Nothing of that made a model, and the snapshot is as promotable as before.
    CHECK_EQUAL(fixture.probe.call("GET", "/v1/accounts/local/models/m").status, 404);
    CHECK_EQUAL(fixture.promote(snake("m")).status, 200);
}

/// Rows of a trainer without one.
struct PromoterFixture
{
    PromoterFixture()
    {
        desk::local::ModelRow base;
        base.id = "tiny";
        base.folder = "base/tiny";
        base.isBase = true;
        base.model.kind = "HF_BASE_MODEL";
        base.model.state = "READY";
        base.model.contextLength = 512;
        base.model.isMoe = false;
        CHECK(files.store->addModel(base).has_value());
        files.addJob("j", 4);
    }
    desk::Promote request(const std::string& model)
    {
        desk::Promote wanted;
        wanted.outputModel = "accounts/local/models/" + model;
        wanted.trainerJob = "accounts/local/rlorTrainerJobs/j";
        wanted.baseModel = "accounts/local/models/tiny";
        return wanted;
    }
    desk::local::OperationRow ended(const std::string& id)
    {
        std::promise<void> told;
        promoter.whenEnded(id, [&told] { told.set_value(); });
        CHECK(told.get_future().wait_for(std::chrono::seconds(10)) == std::future_status::ready);
        return *files.store->operation(id);
    }
    desk::check::StoreFolder files;
    desk::local::TaskPool pool { 1 };
    desk::local::Promoter promoter { *files.store, pool };
};

TEST(an_adapter_is_promoted_as_an_addon_of_its_base)
{
    PromoterFixture fixture;
    auto row = fixture.files.save("j", "lora-1", CheckpointType::InferenceLora);
    desk::check::writeBytes(fixture.files.store->absolute(row.folder) / "adapter_config.json",
        R"({"peft_type":"LORA","r":4,"lora_alpha":32,"target_modules":["q_proj","v_proj"],)"
        R"("base_model_name_or_path":"accounts/local/models/tiny","task_type":"CAUSAL_LM"})");
    CHECK(fixture.files.store->addCheckpoint(row, false).has_value());
    const auto operation = fixture.promoter.promote("lora-1", fixture.request("addon"));
    CHECK(operation.has_value());
    CHECK_EQUAL(fixture.ended(operation->id).errorMessage, "");
    fixture.files.reopen();
    const auto model = fixture.files.store->model("addon")->model;
    CHECK_EQUAL(model.kind, "HF_PEFT_ADDON");
    CHECK(model.adapterRank == 4);
    CHECK_EQUAL(model.adapterTargets.size(), 2U);
    CHECK_EQUAL(model.baseModel, "accounts/local/models/tiny");
    CHECK(model.contextLength == 512);
    CHECK(std::filesystem::exists(std::filesystem::path(model.path) / "adapter_config.json"));
}

TEST(an_adapter_without_its_config_fails_the_operation_and_can_be_tried_again)
{
    PromoterFixture fixture;
    const auto row = fixture.files.save("j", "lora-1", CheckpointType::InferenceLora);
    CHECK(fixture.files.store->addCheckpoint(row, false).has_value());
    const auto first = fixture.promoter.promote("lora-1", fixture.request("addon"));
    const auto failed = fixture.ended(first->id);
    CHECK(failed.isDone);
    CHECK(has(failed.errorMessage, "adapter_config.json"));
    CHECK(fixture.promoter.describe(failed).error.has_value());
    CHECK(!fixture.files.store->model("addon").has_value());
    const auto second = fixture.promoter.promote("lora-1", fixture.request("addon"));
    CHECK(second->id != first->id);
    fixture.ended(second->id);
}

TEST(what_is_kept_to_go_on_cannot_be_promoted_whatever_it_is)
{
    PromoterFixture fixture;
    for (const auto type : { CheckpointType::Training, CheckpointType::TrainingLora,
             CheckpointType::InferenceArcV2 }) {
        const auto id = std::string("c") + std::to_string(static_cast<int>(type));
        CHECK(fixture.files.store->addCheckpoint(fixture.files.save("j", id, type), false)
                  .has_value());
        const auto refused = fixture.promoter.promote(id, fixture.request("m"));
        CHECK(refused.error().code == desk::Error::Code::Refused);
        CHECK(has(refused.error().message, "is not promotable"));
    }
}

TEST(an_expired_snapshot_cannot_be_promoted)
{
    PromoterFixture fixture;
    auto row = fixture.files.save("j", "b", CheckpointType::InferenceBase);
    row.record.expires = fixture.files.clock.now() + std::chrono::seconds(60);
    CHECK(fixture.files.store->addCheckpoint(row, false).has_value());
    fixture.files.clock.advance(std::chrono::seconds(60));
    CHECK(fixture.promoter.promote("b", fixture.request("m")).error().code
        == desk::Error::Code::NotFound);
}

} // namespace

CHECK_MAIN()
