// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/trainer_codec.h"
#include "tests/support/check.h"

#include <array>
#include <limits>

using namespace desk;

namespace {

// trainer.md 3.2
const std::string kForwardBackward =
    R"({"forward_backward_input":{"data":[{"loss_fn_inputs":{"target_tokens":{"data":[2,3,4],)"
    R"("dtype":"int64","shape":[3]},"weights":{"data":[0,1,1],"dtype":"float32","shape":[3]}},)"
    R"("model_input":{"chunks":[{"tokens":[1,2,3],"type":"encoded_text"}]}}],)"
    R"("loss_fn":"cross_entropy"},"model_id":"sess-1:train:0","seq_id":1})";

ForwardRequest example()
{
    ForwardRequest request;
    request.isBackward = true;
    request.modelId = "sess-1:train:0";
    request.seqId = 1;
    request.data.resize(1);
    request.data[0].tokens = { 1, 2, 3 };
    request.data[0].lossInputs["target_tokens"] = intTensor({ 2, 3, 4 });
    request.data[0].lossInputs["weights"] = floatTensor({ 0.0F, 1.0F, 1.0F });
    return request;
}

std::string tensorBody(const std::string& tensor)
{
    return R"({"forward_input":{"data":[{"loss_fn_inputs":{"target_tokens":)" + tensor
        + R"(},"model_input":{"chunks":[{"tokens":[1],"type":"encoded_text"}]}}],)"
          R"("loss_fn":"cross_entropy"},"model_id":"m","seq_id":2})";
}

} // namespace

TEST(forward_backward_of_the_specification)
{
    const auto text = encodeForward(example());
    CHECK(text);
    CHECK_EQUAL(*text, kForwardBackward);
    const auto back = decodeForward(kForwardBackward);
    CHECK(back);
    CHECK(back->isBackward);
    CHECK_EQUAL(back->modelId, std::string("sess-1:train:0"));
    CHECK_EQUAL(back->seqId, std::int64_t { 1 });
    CHECK(back->data == example().data);
}

TEST(forward_reads_config_chunks_and_missing_shapes)
{
    const auto request = decodeForward(
        R"({"forward_input":{"data":[{"model_input":{"chunks":[{"tokens":[1],"type":"encoded_text"},)"
        R"({"tokens":[2,3],"type":"encoded_text"}]},"loss_fn_inputs":{"weights":{"data":[1,0.5,2],)"
        R"("dtype":"float32"}}}],"loss_fn":"cross_entropy","loss_fn_config":{"top_k":4.0,"output":"embedding"}},)"
        R"("model_id":"m","seq_id":9})");
    CHECK(request);
    CHECK(!request->isBackward);
    CHECK(request->data[0].tokens == (std::vector<std::int64_t> { 1, 2, 3 }));
    CHECK(request->data[0].lossInputs.at("weights") == floatTensor({ 1.0F, 0.5F, 2.0F }));
    CHECK_EQUAL(request->lossConfig.at("top_k"), 4.0);
    CHECK_EQUAL(request->lossTextConfig.at("output"), std::string("embedding"));
}

TEST(sparse_tensor_becomes_dense)
{
    // trainer.md 3.3
    const auto request = decodeForward(tensorBody(
        R"({"data":[2,3],"dtype":"int64","shape":[2,6],"sparse_crow_indices":[0,1,2],"sparse_col_indices":[0,0]})"));
    CHECK(request);
    const auto& tensor = request->data[0].lossInputs.at("target_tokens");
    CHECK(tensor.ints == (std::vector<std::int64_t> { 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0 }));
    CHECK(tensor.shape == (std::vector<std::int64_t> { 2, 6 }));
}

TEST(malformed_tensors_name_the_datum)
{
    const std::array<const char*, 14> tensors { R"({})", R"({"data":[1],"dtype":"float64"})",
        R"({"data":[1,2],"dtype":"int64","shape":[3]})", R"({"data":[1.5],"dtype":"int64"})",
        R"({"data":[null],"dtype":"float32"})", R"({"data":["1"],"dtype":"float32"})",
        R"({"data":[1e39],"dtype":"float32"})", R"({"data":[1],"dtype":"int64","shape":[-1]})",
        R"({"data":[],"dtype":"int64","shape":[99999999,99999999]})",
        R"({"data":[1],"dtype":"int64","shape":[1,1,1,1,1,1,1,1,1]})",
        R"({"data":[2],"dtype":"int64","shape":[1,2],"sparse_crow_indices":[0,1],"sparse_col_indices":[2]})",
        R"({"data":[2],"dtype":"int64","shape":[1,2],"sparse_crow_indices":[0,1],"sparse_col_indices":[-1]})",
        R"({"data":[2],"dtype":"int64","shape":[2,2],"sparse_crow_indices":[0,2,1],"sparse_col_indices":[0]})",
        R"({"data":[2],"dtype":"int64","shape":[1,2],"sparse_crow_indices":[0,1]})" };
    for (const char* tensor : tensors) {
        const auto request = decodeForward(tensorBody(tensor));
        CHECK(!request);
        CHECK_EQUAL(std::string(toString(request.error().code)), std::string("malformed"));
        CHECK(request.error().message.find("datum 0") != std::string::npos);
    }
    const std::array<const char*, 6> bodies {
        "", "{}", R"({"forward_input":{}})",
        R"({"forward_input":{"data":[{}],"loss_fn":"x"},"model_id":"m"})",
        R"({"forward_input":{"data":[],"loss_fn":"x"}})",
        R"({"forward_input":{"data":[{"model_input":{"chunks":[{"type":"image","data":"x"}]}}],"loss_fn":"x"},"model_id":"m"})"
    };
    for (const char* body : bodies)
        CHECK(!decodeForward(body));
}

TEST(not_finite_values_are_not_written)
{
    auto request = example();
    request.data[0].lossInputs["weights"].floats[1] = std::numeric_limits<float>::quiet_NaN();
    const auto text = encodeForward(request);
    CHECK(!text);
    CHECK(text.error().message.find("weights") != std::string::npos);
    ForwardResult result;
    result.metrics["loss:sum"] = std::numeric_limits<double>::infinity();
    CHECK(!encodeForwardResult(result));
}

TEST(floats_come_back_exactly)
{
    const std::vector<float> values { 0.1F, -1.0e-38F, 3.4028235e38F, 1.0F / 3.0F, 0.0F, -0.0F };
    ForwardResult result;
    result.outputs = { { { "logprobs", floatTensor(values) } } };
    result.metrics = { { "loss:sum", 1.53 } };
    const auto text = encodeForwardResult(result);
    CHECK(text);
    CHECK(text->find("[0.1,-1e-38,3.4028235e+38,0.33333334,0,-0]") != std::string::npos);
    const auto back = decodeForwardResult(*text);
    CHECK(back);
    CHECK(back->outputs == result.outputs);
    CHECK(back->metrics == result.metrics);
}

TEST(futures_in_every_state)
{
    const auto pending = decodeFuture(
        R"({"type":"try_again","request_id":"b7-3","queue_state":"paused_capacity","queue_state_reason":"paused from the dashboard"})");
    CHECK(pending && pending->state == FutureReply::State::Pending);
    CHECK_EQUAL(pending->queueReason, std::string("paused from the dashboard"));
    CHECK_EQUAL(encodeFuture(*pending, "b7-3"),
        std::string(
            R"({"type":"try_again","request_id":"b7-3","queue_state":"paused_capacity","queue_state_reason":"paused from the dashboard"})"));
    const auto failed =
        decodeFuture(R"({"error":"target_tokens longer than model_input","category":"user"})");
    CHECK(failed && failed->state == FutureReply::State::Failed);
    CHECK_EQUAL(failed->category, std::string("user"));
    CHECK_EQUAL(
        decodeFuture(R"({"error":"x","category":"USER"})")->category, std::string("unknown"));
    const std::string body = R"({"metrics":{"grad_norm":0.73,"lr":0.0001}})";
    const auto finished = decodeFuture(body);
    CHECK(finished && finished->state == FutureReply::State::Done);
    CHECK_EQUAL(finished->result, body);
    CHECK_EQUAL(decodeOptimResult(finished->result)->metrics.at("grad_norm"), 0.73);
    CHECK(!decodeFuture("nonsense"));
    CHECK_EQUAL(encodeFutureRef({ "b7-1", {} }), std::string(R"({"request_id":"b7-1"})"));
    CHECK(!decodeFutureRef(R"({"request_id":7})"));
}

TEST(optimizer_step_of_the_specification)
{
    OptimStep step;
    step.modelId = "sess-1:train:0";
    step.seqId = 5;
    step.adam = { 1e-5, 0.9, 0.999, 1e-8, 0.01, 0.0, "basic" };
    step.normalization = GradAccNormalization::NumLossTokens;
    CHECK_EQUAL(encodeOptimStep(step),
        std::string(
            R"({"adam_params":{"learning_rate":1e-05,"beta1":0.9,"beta2":0.999,"eps":1e-08,)"
            R"("weight_decay":0.01,"grad_clip_norm":0.0,"emit_grad_norm_metrics":"basic"},)"
            R"("model_id":"sess-1:train:0","seq_id":5,"type":"optim_step",)"
            R"("grad_accumulation_normalization":"num_loss_tokens"})"));
    const auto back = decodeOptimStep(encodeOptimStep(step));
    CHECK(back);
    CHECK(back->adam == step.adam);
    CHECK(back->normalization == GradAccNormalization::NumLossTokens);
    const auto defaults = decodeOptimStep(R"({"model_id":"m","adam_params":{}})");
    CHECK(defaults);
    CHECK(defaults->adam == AdamParams {});
    CHECK_EQUAL(decodeOptimStep(R"({"model_id":"m","grad_accumulation_normalization":"zzz"})")
                    .error()
                    .message,
        std::string("Unknown grad_accumulation_normalization 'zzz'; expected one of: "
                    "num_loss_tokens, num_sequences, none"));
    CHECK_EQUAL(decodeOptimStep(R"({"model_id":"m","adam_params":{"emit_grad_norm_metrics":true}})")
                    ->adam.gradNormMetrics,
        std::string("basic"));
}

TEST(saves_and_loads_come_back)
{
    const SaveWeights save { "sess-1:train:0", "train_state_step_100", 9, 3600, false };
    CHECK_EQUAL(encodeSaveWeights(save),
        std::string(
            R"({"model_id":"sess-1:train:0","path":"train_state_step_100","seq_id":9,"ttl_seconds":3600,"overwrite":false,"type":"save_weights"})"));
    const auto saved = decodeSaveWeights(encodeSaveWeights(save));
    CHECK(saved && saved->ttlSeconds == std::int64_t { 3600 } && saved->path == save.path);
    const LoadWeights load { "m", "cross_job://previous-job-id/step-4", true, 10 };
    CHECK_EQUAL(encodeLoadWeights(load),
        std::string(
            R"({"model_id":"m","path":"cross_job://previous-job-id/step-4","optimizer":true,"seq_id":10,"type":"load_weights"})"));
    CHECK(decodeLoadWeights(encodeLoadWeights(load))->withOptimizer);
    SaveForSampler sampler;
    sampler.modelId = "sess-1:train:0";
    sampler.path = "step-0001-8859ae61";
    sampler.seqId = 7;
    sampler.ttlSeconds = 3600;
    sampler.checkpointType = "base";
    CHECK_EQUAL(encodeSaveForSampler(sampler),
        std::string(
            R"({"model_id":"sess-1:train:0","path":"step-0001-8859ae61","seq_id":7,"ttl_seconds":3600,"type":"save_weights_for_sampler","checkpoint_type":"base"})"));
    CHECK_EQUAL(
        decodeSaveForSampler(encodeSaveForSampler(sampler))->checkpointType, std::string("base"));
    const auto ephemeral = decodeSaveForSampler(
        R"({"model_id":"m","sampling_session_seq_id":0,"seq_id":8,"type":"save_weights_for_sampler"})");
    CHECK(ephemeral && ephemeral->samplingSessionSeqId == std::int64_t { 0 });
    CHECK(!decodeSaveForSampler(R"({"model_id":"m","seq_id":8})"));
    CHECK_EQUAL(encodeWeightsResult({ "save_weights_for_sampler", {}, "sess-1:sample:0" }),
        std::string(
            R"({"path":null,"sampling_session_id":"sess-1:sample:0","type":"save_weights_for_sampler"})"));
    CHECK_EQUAL(
        decodeWeightsResult(R"({"path":"p","type":"save_weights"})")->path, std::string("p"));
}

TEST(sessions_models_and_lists_come_back)
{
    CreateSession session { {}, { { "run", "a" } }, "0.23.0" };
    CHECK_EQUAL(encodeCreateSession(session),
        std::string(
            R"({"tags":[],"user_metadata":{"run":"a"},"sdk_version":"0.23.0","type":"create_session"})"));
    CHECK(decodeCreateSession(encodeCreateSession(session))->userMetadata == session.userMetadata);
    CHECK_EQUAL(
        decodeSessionCreated(encodeSessionCreated({ "sess-7f3a", "hi", {}, {} }))->infoMessage,
        std::string("hi"));
    CHECK(!decodeSessionCreated(R"({"type":"create_session"})"));
    CHECK_EQUAL(*decodeHeartbeat(encodeHeartbeat("sess-1")), std::string("sess-1"));

    // Full parameters, trainer.md 2.1.
    CreateModel create;
    create.sessionId = "sess-1";
    create.baseModel = "toy/bigram-1k";
    create.lora = LoraConfig { 0, {}, {}, true, true, true };
    CHECK_EQUAL(encodeCreateModel(create),
        std::string(
            R"({"session_id":"sess-1","model_seq_id":0,"base_model":"toy/bigram-1k","lora_config":{"rank":0,"train_unembed":true,"train_mlp":true,"train_attn":true},"type":"create_model"})"));
    CHECK_EQUAL(decodeCreateModel(encodeCreateModel(create))->lora->rank, 0);
    CHECK(!decodeCreateModel(R"({"session_id":"s"})"));
    CHECK_EQUAL(*decodeModelResult(R"({"model_id":"sess-1:train:0","type":"create_model"})"),
        std::string("sess-1:train:0"));
    const ModelInfo info { "m", "toy", false, 0, "qwen3", "toy" };
    CHECK_EQUAL(decodeModelInfo(encodeModelInfo(info))->architecture, std::string("qwen3"));
    CHECK(!decodeModelInfo(R"({"model_id":"m"})"));

    const std::vector<std::string> names { "step-2", "step-4" };
    CHECK_EQUAL(
        encodeCheckpointNames(names), std::string(R"({"checkpoints":["step-2","step-4"]})"));
    CHECK(*decodeCheckpointNames(encodeCheckpointNames(names)) == names);
    CHECK(!decodeCheckpointNames("{}"));
    const std::vector<SupportedModel> models { { "toy/bigram-1k", 4096 } };
    CHECK_EQUAL(encodeCapabilities(models),
        std::string(
            R"({"supported_models":[{"model_name":"toy/bigram-1k","max_context_length":4096,"trainable":true,"sampleable":true}]})"));
    CHECK_EQUAL(
        (*decodeCapabilities(encodeCapabilities(models)))[0].name, std::string("toy/bigram-1k"));
    CHECK_EQUAL(*decodeRetrieve(encodeRetrieve("req-42")), std::string("req-42"));
}

// tinker-0.38.md 6.1, 6.3, 7.2, 7.5, 10, 12.
TEST(bodies_of_the_newer_clients_are_read_and_come_back)
{
    const auto session = decodeCreateSession(
        R"({"tags":[],"user_metadata":{"run":"a"},"sdk_version":"0.38.0","project_id":"p1",)"
        R"("display_name":"nightly","type":"create_session"})");
    CHECK_EQUAL(session->displayName, std::string("nightly"));
    CHECK_EQUAL(session->projectId, std::string("p1"));
    const std::string finish = R"({"reason":{"type":"success"},"detail":null})";
    CHECK_EQUAL(encodeFinishSession({ "success", {} }), finish);
    CHECK_EQUAL(decodeFinishSession(finish)->reason, std::string("success"));
    CHECK(!decodeFinishSession(R"({"reason":{"type":"bored"}})"));

    const auto made = decodeLoadWeights(
        R"({"session_id":"s1","model_seq_id":1,"base_model":"toy/bigram","user_metadata":{"q":"1"},)"
        R"("path":"tinker://s1:train:0/weights/a","optimizer":true,"optimizer_config":)"
        R"({"type":"adamw"},"weights_access_token":"secret","type":"load_weights"})");
    CHECK_EQUAL(made->sessionId, std::string("s1"));
    CHECK_EQUAL(made->modelSeqId, 1);
    CHECK_EQUAL(made->optimizerType, std::string("adamw"));
    CHECK_EQUAL(decodeLoadWeights(encodeLoadWeights(*made))->path, made->path);
    CHECK(!decodeLoadWeights(R"({"path":"a"})"));

    const auto model = decodeCreateModel(
        R"({"session_id":"s","base_model":"b","projection_head_dim":3,"lora_config":)"
        R"({"init_method":"nora","rank":8},"optimizer_config":{"type":"dimuon","version":1}})");
    CHECK(model->hasProjectionHead);
    CHECK_EQUAL(model->lora->initMethod, std::string("nora"));
    CHECK_EQUAL(model->optimizerType, std::string("dimuon"));
    CHECK_EQUAL(
        decodeOptimStep(R"({"model_id":"m","seq_id":1,"optimizer_params":{"type":"dimuon"}})")
            ->otherOptimizer,
        std::string("dimuon"));

    const auto external = decodeSaveExternal(
        R"({"model_id":"m","path":"e","seq_id":3,"age_encryption_recipients":["age1"],)"
        R"("ttl_seconds":3600,"type":"save_weights_external"})");
    CHECK(external->isEncrypted);
    CHECK_EQUAL(external->ttlSeconds.value_or(0), 3600);
    CHECK_EQUAL(encodeWeightsResult(
                    { "save_weights_external", "tinker://m/external_weights/e", {}, {}, 42 }),
        std::string(
            R"({"path":"tinker://m/external_weights/e","size_bytes":42,"type":"save_weights_external"})"));
    const LoadAdapter adapter { "m", "accounts/a/models/b", 2 };
    CHECK_EQUAL(encodeLoadAdapter(adapter),
        std::string(R"({"adapter_path":"accounts/a/models/b","model_id":"m","seq_id":2})"));
    CHECK_EQUAL(decodeLoadAdapter(encodeLoadAdapter(adapter))->path, adapter.path);

    const auto forward = decodeForward(
        R"({"forward_input":{"data":[],"loss_fn":"ppo","loss_fn_config":)"
        R"({"flag":true,"n":3,"s":"x","f":0.5,"off":false}},"model_id":"m","seq_id":1,"comms":"v2"})");
    CHECK_EQUAL(forward->lossConfig.at("n"), 3.0);
    CHECK_EQUAL(forward->lossConfig.size(), 2U);
    CHECK_EQUAL(forward->lossTextConfig.at("flag"), std::string("true"));
    CHECK_EQUAL(forward->lossTextConfig.at("off"), std::string("false"));
    CHECK_EQUAL(forward->lossTextConfig.at("s"), std::string("x"));
    CHECK_EQUAL(encodeTrainerError(404, "gone"),
        std::string(R"({"code":5,"message":"gone","details":[],"detail":"gone"})"));
}

CHECK_MAIN()
