// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/training_client.h"

#include "services/codecs/control_codec.h"
#include "services/codecs/trainer_codec.h"
#include "services/core/promotability.h"
#include "services/errand.h"
#include "services/trainer/sampling_client.h"
#include "services/trainer/submission_queue.h"

#include <QRandomGenerator>

#include <algorithm>
#include <array>
#include <chrono>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr auto kReadModelBudget = std::chrono::seconds(30);
    constexpr std::array kCheckpointTypes { "base", "delta", "merged_base" };
    constexpr std::size_t kMaxLabel = 63;

    std::string randomSuffix()
    {
        const auto digits = QString::number(QRandomGenerator::system()->generate(), 16);
        return digits.rightJustified(8, u'0').toStdString();
    }

    std::string_view modelBodyOf(const HttpReply& reply)
    {
        return { reply.body.constData(), static_cast<std::size_t>(reply.body.size()) };
    }

    Error wrongCall(std::string message, const char* next)
    {
        return { Error::Code::Usage, std::move(message), "Nothing was sent", next, {} };
    }

    std::string trimmed(const std::string& text)
    {
        const auto first = text.find_first_not_of(" \t\r\n");
        if (first == std::string::npos)
            return {};
        return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
    }

    std::string lowered(std::string text)
    {
        std::transform(text.begin(), text.end(), text.begin(),
            [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
        return text;
    }

    bool isDnsLabel(const std::string& name)
    {
        const auto isFine = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
        return !name.empty() && name.size() <= kMaxLabel && isFine(name.front())
            && isFine(name.back())
            && std::all_of(name.begin(), name.end(), [&](char c) { return isFine(c) || c == '-'; });
    }

    Status checkSave(const std::string& name, const std::optional<std::int64_t>& ttlSeconds)
    {
        if (auto problem = problemWithSaveName(name); !problem.empty())
            return wrongCall(std::move(problem), "Choose another name");
        if (ttlSeconds && *ttlSeconds < 1)
            return wrongCall("ttl_seconds must be 1 or more", "Leave it out for no expiry");
        return done();
    }

    template <class T>
    QFuture<Result<T>> decodedResult(
        QFuture<Result<std::string>> body, QObject* guard, Result<T> (*decode)(std::string_view))
    {
        return mapFuture<T>(std::move(body), guard, [decode](const Result<std::string>& text) {
            return text ? decode(*text) : Result<T>(text.error());
        });
    }

    QFuture<Status> ignoredResult(QFuture<Result<std::string>> body, QObject* guard)
    {
        return mapFuture<std::monostate>(std::move(body), guard,
            [](const Result<std::string>& text) { return text ? done() : Status(text.error()); });
    }

    TrainerCall modelRead(std::string rpc, std::string body, std::string doing)
    {
        TrainerCall call;
        call.rpc = std::move(rpc);
        call.isGet = body.empty();
        call.body = std::move(body);
        call.doing = std::move(doing);
        call.budget = kReadModelBudget;
        return call;
    }

} // namespace

FiretitanTrainingClient::FiretitanTrainingClient(
    std::shared_ptr<TrainerSession> session, TrainedModel model, QObject* parent)
    : QObject(parent)
    , m_session(std::move(session))
    , m_model(std::move(model))
    , m_nameSuffix(randomSuffix())
    , m_queue(std::make_unique<SubmissionQueue>(m_session, m_model.modelId))
{
}

FiretitanTrainingClient::~FiretitanTrainingClient() = default;

std::string FiretitanTrainingClient::qualifiedName(const std::string& name) const
{
    return name + "-" + m_nameSuffix;
}

Status FiretitanTrainingClient::checkTrains(const char* what) const
{
    if (!m_model.isBaseOnly)
        return done();
    return wrongCall(std::string("A reference has frozen weights: ") + what + " is not possible",
        "Use the training client for it");
}

QFuture<Result<OptimResult>> FiretitanTrainingClient::optimStep(
    AdamParams params, GradAccNormalization normalization)
{
    if (const auto status = checkTrains("an optimizer step"); !status)
        return finishedFuture<OptimResult>(status.error());
    OptimStep request;
    request.modelId = m_model.modelId;
    request.adam = std::move(params);
    request.normalization = normalization;
    SubmissionQueue::Operation operation { "optim_step", "OptimStep", "apply the optimizer step",
        [request = std::move(request)](std::int64_t seqId) mutable {
            request.seqId = seqId;
            return Result<std::string>(encodeOptimStep(request));
        } };
    return decodedResult<OptimResult>(
        m_queue->submit(std::move(operation)), this, decodeOptimResult);
}

QFuture<Result<SaveStateResult>> FiretitanTrainingClient::saveState(
    std::string name, std::optional<std::int64_t> ttlSeconds)
{
    if (const auto status = checkTrains("saving a state"); !status)
        return finishedFuture<SaveStateResult>(status.error());
    if (const auto status = checkSave(name, ttlSeconds); !status)
        return finishedFuture<SaveStateResult>(status.error());
    SaveStateResult saved;
    if (!m_stateNames.insert(name).second)
        saved.warnings.push_back("The name " + name + " was used before: that state is replaced");
    if (!isDnsLabel(name))
        saved.warnings.push_back("Fireworks SDK 1.2.30 cannot load the name " + name
            + "; it takes a-z, 0-9 and inner hyphens only");
    SaveWeights request;
    request.modelId = m_model.modelId;
    request.path = name;
    request.ttlSeconds = ttlSeconds;
    SubmissionQueue::Operation operation { "save_weights", "SaveWeights",
        "save the train state " + name, [request](std::int64_t seqId) mutable {
            request.seqId = seqId;
            return Result<std::string>(encodeSaveWeights(request));
        } };
    return mapFuture<SaveStateResult>(m_queue->submit(std::move(operation)), this,
        [saved, name](const Result<std::string>& text) mutable {
            const auto result =
                text.and_then([](const std::string& json) { return decodeWeightsResult(json); });
            if (!result)
                return Result<SaveStateResult>(result.error());
            saved.path = result->path.empty() ? name : result->path;
            return Result<SaveStateResult>(std::move(saved));
        });
}

QFuture<Status> FiretitanTrainingClient::load(std::string path, bool withOptimizer)
{
    path = trimmed(path);
    if (path.empty())
        return finishedFuture<std::monostate>(
            wrongCall("The checkpoint path cannot be empty", "Name a train state"));
    LoadWeights request;
    request.modelId = m_model.modelId;
    request.path = path;
    request.withOptimizer = withOptimizer;
    SubmissionQueue::Operation operation { "load_weights", "LoadWeights",
        "load the train state " + path, [request](std::int64_t seqId) mutable {
            request.seqId = seqId;
            return Result<std::string>(encodeLoadWeights(request));
        } };
    return ignoredResult(m_queue->submit(std::move(operation)), this);
}

QFuture<Status> FiretitanTrainingClient::loadState(std::string path)
{
    return load(std::move(path), false);
}

QFuture<Status> FiretitanTrainingClient::loadStateWithOptimizer(std::string path)
{
    return load(std::move(path), true);
}

QFuture<Status> FiretitanTrainingClient::loadAdapter(std::string path)
{
    path = trimmed(path);
    if (path.empty() || !isLora())
        return finishedFuture<std::monostate>(
            wrongCall(path.empty() ? "The adapter path cannot be empty"
                                   : "A full-parameter model takes no adapter",
                path.empty() ? "Name an adapter" : "Create the training client with a lora_rank"));
    SubmissionQueue::Operation operation { "load_adapter", "LoadAdapter",
        "load the adapter " + path, [id = m_model.modelId, path](std::int64_t seqId) {
            return Result<std::string>(encodeLoadAdapter({ id, path, seqId }));
        } };
    return ignoredResult(m_queue->submit(std::move(operation)), this);
}

QFuture<Result<SaveSamplerResult>> FiretitanTrainingClient::saveWeightsForSamplerExt(
    std::string name, std::string checkpointType, std::optional<std::int64_t> ttlSeconds,
    std::string exportPrecision)
{
    using Saved = Result<SaveSamplerResult>;
    checkpointType = lowered(std::move(checkpointType));
    if (checkpointType.empty())
        checkpointType = isLora() || !m_hasSavedBase ? "base" : "delta";
    const bool isKnown = std::any_of(kCheckpointTypes.begin(), kCheckpointTypes.end(),
        [&](const char* type) { return checkpointType == type; });
    if (!isKnown)
        return finishedFuture<SaveSamplerResult>(wrongCall(
            "checkpoint_type must be one of base, delta, merged_base; not " + checkpointType,
            "Choose base or delta"));
    if (checkpointType == "merged_base" && !isLora())
        return finishedFuture<SaveSamplerResult>(
            wrongCall("merged_base folds an adapter into its base, and this model has none",
                "Save base: it holds the full weights"));
    if (!exportPrecision.empty() && checkpointType != "merged_base")
        return finishedFuture<SaveSamplerResult>(wrongCall(
            "export_precision goes with merged_base only", "Leave it out, or save merged_base"));
    if (const auto status = checkTrains("saving weights"); !status)
        return finishedFuture<SaveSamplerResult>(status.error());
    if (const auto status = checkSave(name, ttlSeconds); !status)
        return finishedFuture<SaveSamplerResult>(status.error());

    SaveForSampler request;
    request.modelId = m_model.modelId;
    request.path = qualifiedName(name);
    request.ttlSeconds = ttlSeconds;
    request.checkpointType = checkpointType;
    request.exportPrecision = std::move(exportPrecision);
    SaveSamplerResult saved { {}, request.path, checkpointType, {} };
    const auto kind = checkpointType == "merged_base" ? "merged" : checkpointType;
    if (const auto fate = promotabilityOf(savedAs(kind, isLora())); !fate.isPromotable)
        saved.warnings.push_back(request.path + " cannot be promoted: " + fate.reason);
    const bool isBase = checkpointType == "base";
    const bool hadBase = m_hasSavedBase;
    m_hasSavedBase = m_hasSavedBase || isBase; // saves run in order: enough for a delta to follow
    SubmissionQueue::Operation operation { "save_weights_for_sampler", "SaveWeightsForSampler",
        "save " + request.path + " (" + checkpointType + ")",
        [request](std::int64_t seqId) mutable {
            request.seqId = seqId;
            return Result<std::string>(encodeSaveForSampler(request));
        } };
    return mapFuture<SaveSamplerResult>(m_queue->submit(std::move(operation)), this,
        [this, saved, isBase, hadBase](const Result<std::string>& text) mutable {
            const auto result =
                text.and_then([](const std::string& json) { return decodeWeightsResult(json); });
            if (!result) {
                if (isBase)
                    m_hasSavedBase = hadBase;
                return Saved(result.error());
            }
            if (result->path.empty())
                return Saved(Error { Error::Code::Malformed,
                    "The trainer saved " + saved.snapshotName + " but named no path", {},
                    "Look for the snapshot in the job's checkpoints", {} });
            m_lastSnapshot = saved.snapshotName;
            saved.path = result->path;
            return Saved(std::move(saved));
        });
}

QFuture<Result<std::shared_ptr<FiretitanSamplingClient>>>
FiretitanTrainingClient::saveWeightsAndGetSamplingClient()
{
    using Client = std::shared_ptr<FiretitanSamplingClient>;
    if (const auto status = checkTrains("saving weights"); !status)
        return finishedFuture<Client>(status.error());
    SaveForSampler request;
    request.modelId = m_model.modelId;
    request.samplingSessionSeqId = m_session->takeSamplingSeqId();
    SubmissionQueue::Operation operation { "save_weights_for_sampler", "SaveWeightsForSampler",
        "save the weights to draw from", [request](std::int64_t seqId) mutable {
            request.seqId = seqId;
            return Result<std::string>(encodeSaveForSampler(request));
        } };
    return mapFuture<Client>(m_queue->submit(std::move(operation)), this,
        [session = m_session](const Result<std::string>& text) {
            const auto result =
                text.and_then([](const std::string& json) { return decodeWeightsResult(json); });
            if (!result)
                return Result<Client>(result.error());
            if (result->samplingSessionId.empty())
                return Result<Client>(Error { Error::Code::Malformed,
                    "The trainer saved the weights but named no sampling session", {},
                    "Save them under a name, and sample from that", {} });
            return Result<Client>(
                std::make_shared<FiretitanSamplingClient>(session, result->samplingSessionId));
        });
}

QFuture<Result<std::vector<std::string>>> FiretitanTrainingClient::listCheckpoints()
{
    using Names = std::vector<std::string>;
    auto call = modelRead("list_checkpoints", {}, "list the trainer's states");
    return mapFuture<Names>(
        m_session->call(std::move(call), this), this, [](const Result<HttpReply>& reply) {
            return reply.and_then(
                [](const HttpReply& answer) { return decodeCheckpointNames(modelBodyOf(answer)); });
        });
}

QFuture<Result<ModelInfo>> FiretitanTrainingClient::info()
{
    auto call = modelRead(
        "get_info", encodeModelRequest(m_model.modelId, "get_info"), "read the model's facts");
    return mapFuture<ModelInfo>(
        m_session->call(std::move(call), this), this, [](const Result<HttpReply>& reply) {
            return reply.and_then(
                [](const HttpReply& answer) { return decodeModelInfo(modelBodyOf(answer)); });
        });
}

QFuture<Status> FiretitanTrainingClient::unload()
{
    SubmissionQueue::Operation operation { "unload_model", "UnloadModel", "unload the model",
        [id = m_model.modelId](
            std::int64_t) { return Result<std::string>(encodeModelRequest(id, "unload_model")); } };
    operation.hasSeqId = false;
    operation.waitsForResults = true; // a trainer drops the work of a model that it unloads
    auto body = m_queue->submit(std::move(operation));
    m_queue->close(wrongCall("Model unloading has already started",
        "Make a new service client and a new training client"));
    return ignoredResult(std::move(body), this);
}

Result<std::string> FiretitanTrainingClient::resolveCheckpointPath(
    const std::string& name, const std::optional<std::string>& sourceJobId)
{
    const auto plain = trimmed(name);
    if (plain.empty())
        return wrongCall("checkpoint_name cannot be empty", "Name a train state");
    const bool isPath = plain.rfind("gs://", 0) == 0 || plain.rfind("tinker://", 0) == 0
        || plain.rfind("cross_job://", 0) == 0 || plain.front() == '/';
    if (!sourceJobId)
        return plain;
    const auto job = trimmed(*sourceJobId);
    if (job.empty())
        return wrongCall("source_job_id cannot be empty", "Name the job that saved the state");
    if (isPath)
        return wrongCall("A full path needs no source job: " + plain,
            "Give the name of the state, or leave the job out");
    if (plain.find('/') != std::string::npos || job.find('/') != std::string::npos)
        return wrongCall("A job and the name of a state have no '/': " + job + ", " + plain,
            "Give the bare id of the job and the bare name of the state");
    return "cross_job://" + job + "/" + plain;
}

} // namespace desk
