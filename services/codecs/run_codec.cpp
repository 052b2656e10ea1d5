// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/run_codec.h"

#include "services/codecs/control_codec.h"
#include "services/codecs/json_text.h"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>

namespace desk {
namespace {

    using RunJson = nlohmann::ordered_json;

    constexpr JsonLimits kRunFileLimits { std::size_t { 1 } << 20, 32, 100'000 };

    Result<RunJson> parseRunObject(std::string_view text, const char* what)
    {
        if (const auto bounds = checkJsonBounds(text, kRunFileLimits); !bounds)
            return bounds.error();
        auto json = RunJson::parse(text, nullptr, false);
        if (!json.is_object())
            return Error { Error::Code::Malformed, std::string(what) + " is no JSON object" };
        return json;
    }

    std::string runText(const RunJson& json, std::initializer_list<const char*> keys)
    {
        for (const char* key : keys) {
            const auto it = json.find(key);
            if (it != json.end() && it->is_string() && !it->get_ref<const std::string&>().empty())
                return it->get<std::string>();
        }
        return {};
    }

    std::optional<std::int64_t> runInteger(
        const RunJson& json, std::initializer_list<const char*> keys)
    {
        for (const char* key : keys) {
            const auto it = json.find(key);
            if (it != json.end() && it->is_number_integer())
                return it->get<std::int64_t>();
        }
        return std::nullopt;
    }

    std::optional<double> runReal(const RunJson& json, const char* key)
    {
        const auto it = json.find(key);
        return it != json.end() && it->is_number() ? std::optional(it->get<double>())
                                                   : std::nullopt;
    }

    std::string dumped(const RunJson& json, int indent)
    {
        return json.dump(indent, ' ', false, RunJson::error_handler_t::replace);
    }

    void putRunText(RunJson& json, const char* key, const std::string& text)
    {
        if (!text.empty())
            json[key] = text;
    }

} // namespace

std::string encodeRunConfig(const RunConfig& config, std::string_view recipe)
{
    auto json = RunJson::parse(recipe, nullptr, false);
    if (!json.is_object())
        json = RunJson::object();
    putRunText(json, "run_name", config.runName);
    putRunText(json, "job", config.job);
    putRunText(json, "connection", config.connection);
    putRunText(json, "model_name", config.baseModel);
    json["lora_rank"] = config.loraRank;
    if (config.learningRate)
        json["learning_rate"] = *config.learningRate;
    if (config.totalSteps)
        json["max_steps"] = *config.totalSteps;
    json["pid"] = config.pid;
    return dumped(json, 2) + '\n';
}

Result<RunConfig> decodeRunConfig(std::string_view text)
{
    const auto json = parseRunObject(text, "config.json");
    if (!json)
        return json.error();
    RunConfig config;
    config.runName = runText(*json, { "run_name", "wandb_name", "recipe_name" });
    config.job = runText(*json, { "job", "trainer_job" });
    config.connection = runText(*json, { "connection" });
    config.baseModel = runText(*json, { "model_name", "base_model" });
    const auto rank = runInteger(*json, { "lora_rank" }).value_or(0);
    config.loraRank = static_cast<int>(std::clamp<std::int64_t>(rank, 0, 65536));
    config.learningRate = runReal(*json, "learning_rate");
    config.totalSteps = runInteger(*json, { "max_steps", "total_steps", "num_steps" });
    config.pid = runInteger(*json, { "pid" }).value_or(0);
    config.submitAhead = runInteger(*json, { "submit_ahead" });
    return config;
}

std::string encodeRunCheckpoint(const RunCheckpoint& checkpoint)
{
    RunJson json;
    json["name"] = checkpoint.name;
    if (checkpoint.step) {
        json["batch"] = *checkpoint.step;
        json["step"] = *checkpoint.step;
    }
    putRunText(json, "kind", checkpoint.kind);
    if (checkpoint.isFinal)
        json["final"] = true;
    if (checkpoint.savedAt)
        json["time"] = toRfc3339(*checkpoint.savedAt);
    if (checkpoint.loss)
        json["loss"] = *checkpoint.loss;
    putRunText(json, "resource_name", checkpoint.resourceName);
    putRunText(json, "path", checkpoint.path);
    putRunText(json, checkpoint.kind == "state" ? "state_path" : "sampler_path", checkpoint.path);
    return dumped(json, -1);
}

Result<RunCheckpoint> decodeRunCheckpoint(std::string_view line)
{
    const auto json = parseRunObject(line, "A line of checkpoints.jsonl");
    if (!json)
        return json.error();
    RunCheckpoint checkpoint;
    checkpoint.name = runText(*json, { "name" });
    checkpoint.step = runInteger(*json, { "step", "batch" });
    checkpoint.kind = runText(*json, { "kind" });
    const auto state = runText(*json, { "state_path" });
    const auto sampler = runText(*json, { "sampler_path" });
    if (checkpoint.kind.empty() && !state.empty() && sampler.empty())
        checkpoint.kind = "state";
    checkpoint.resourceName = runText(*json, { "resource_name" });
    checkpoint.path = runText(*json, { "path", "sampler_path", "state_path" });
    if (!state.empty() && state != checkpoint.path)
        checkpoint.statePath = state;
    checkpoint.savedAt = parseRfc3339(runText(*json, { "time", "timestamp" }));
    checkpoint.loss = runReal(*json, "loss");
    const auto final = json->find("final");
    checkpoint.isFinal = final != json->end() && final->is_boolean() && final->get<bool>();
    if (checkpoint.name.empty() && checkpoint.path.empty() && checkpoint.resourceName.empty())
        return Error { Error::Code::Malformed, "A line of checkpoints.jsonl names no checkpoint" };
    return checkpoint;
}

std::string encodeRunStatus(const RunStatus& status)
{
    RunJson json;
    json["code"] = status.code;
    json["message"] = status.message;
    json["details"] = RunJson::array();
    if (status.percent)
        json["details"].push_back({ { "@type", "type.googleapis.com/gateway.JobProgress" },
            { "percent", *status.percent } });
    return dumped(json, -1);
}

Result<RunStatus> decodeRunStatus(std::string_view text)
{
    const auto json = parseRunObject(text, "status.json");
    if (!json)
        return json.error();
    RunStatus status;
    const auto code = runInteger(*json, { "code" });
    if (!code)
        return Error { Error::Code::Malformed, "status.json has no code" };
    status.code = static_cast<int>(std::clamp<std::int64_t>(*code, -1, 1'000'000));
    status.message = runText(*json, { "message" });
    if (const auto details = json->find("details"); details != json->end() && details->is_array()) {
        for (const auto& detail : *details) {
            if (!detail.is_object())
                continue;
            if (const auto percent = runInteger(detail, { "percent" }))
                status.percent = static_cast<int>(std::clamp<std::int64_t>(*percent, 0, 100));
        }
    }
    return status;
}

std::string encodeDetachedRun(const DetachedRun& run)
{
    RunJson json;
    json["run_dir"] = run.runDir;
    json["job"] = run.job;
    json["pid"] = run.pid;
    json["control_socket"] = run.controlSocket;
    return dumped(json, -1);
}

Result<DetachedRun> decodeDetachedRun(std::string_view line)
{
    const auto json = parseRunObject(line, "What train --detach printed");
    if (!json)
        return json.error();
    if (json->contains("error")) {
        // The same error object as on the control socket.
        const auto error = decodeControlStatus(line);
        if (!error)
            return error.error();
    }
    DetachedRun run;
    run.runDir = runText(*json, { "run_dir" });
    run.job = runText(*json, { "job" });
    run.pid = runInteger(*json, { "pid" }).value_or(0);
    run.controlSocket = runText(*json, { "control_socket" });
    if (run.runDir.empty())
        return Error { Error::Code::Malformed, "train --detach printed no run folder" };
    return run;
}

} // namespace desk
