// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/firetitan_client.h"

#include "services/errand.h"
#include "services/trainer/forward_chunks.h"
#include "services/trainer/submission_queue.h"

#include <QRandomGenerator>

#include <algorithm>
#include <array>

using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr std::chrono::milliseconds kHeartbeat = 10s; // trainer.md 1.6
    constexpr std::array kCheckpointTypes { "base", "delta" };

    std::string randomSuffix()
    {
        const auto digits = QString::number(QRandomGenerator::system()->generate(), 16);
        return digits.rightJustified(8, u'0').toStdString();
    }

    std::string_view bodyOf(const HttpReply& reply)
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

    HttpRequest getOf(const std::string& baseUrl, const std::string& rpc, std::string doing)
    {
        auto request = trainerRequest(baseUrl, rpc, {}, std::move(doing));
        request.method = "GET";
        return request;
    }

    template <class T>
    QFuture<Result<T>> decodedResult(
        QFuture<Result<std::string>> body, QObject* guard, Result<T> (*decode)(std::string_view))
    {
        return mapFuture<T>(std::move(body), guard, [decode](const Result<std::string>& text) {
            return text ? decode(*text) : Result<T>(text.error());
        });
    }

} // namespace

FiretitanServiceClient::FiretitanServiceClient(
    HttpClient& http, std::string baseUrl, QObject* parent)
    : QObject(parent)
    , m_http(http)
    , m_baseUrl(std::move(baseUrl))
{
    while (!m_baseUrl.empty() && m_baseUrl.back() == '/')
        m_baseUrl.pop_back();
    m_heartbeat.setInterval(kHeartbeat);
    connect(&m_heartbeat, &QTimer::timeout, this, &FiretitanServiceClient::beat);
}

FiretitanServiceClient::~FiretitanServiceClient() = default;

void FiretitanServiceClient::beat()
{
    auto request = trainerRequest(
        m_baseUrl, "session_heartbeat", encodeHeartbeat(m_sessionId), "keep the session alive");
    request.totalTimeout = 10s;
    request.maxAttempts = 1; // the next beat is the retry
    const auto unheard = m_http.send(std::move(request));
}

QFuture<Result<std::string>> FiretitanServiceClient::session()
{
    if (!m_sessionId.empty())
        return finishedFuture<std::string>(m_sessionId);
    CreateSession create;
    create.sdkVersion = "0.23.0"; // the wire version spoken here (trainer.md 1.6)
    auto request =
        trainerRequest(m_baseUrl, "create_session", encodeCreateSession(create), "open a session");
    return mapFuture<std::string>(
        m_http.send(std::move(request)), this, [this](const Result<HttpReply>& reply) {
            const auto created = reply.and_then(
                [](const HttpReply& answer) { return decodeSessionCreated(bodyOf(answer)); });
            if (!created)
                return Result<std::string>(created.error());
            if (m_sessionId.empty()) {
                m_sessionId = created->sessionId;
                m_heartbeat.start();
            }
            return Result<std::string>(m_sessionId);
        });
}

QFuture<Result<FiretitanServiceClient::TrainingClient>>
FiretitanServiceClient::createTrainingClient(
    std::string baseModel, int loraRank, std::map<std::string, std::string> userMetadata)
{
    const auto key = std::make_pair(baseModel, loraRank);
    if (!m_created.insert(key).second)
        return finishedFuture<TrainingClient>(wrongCall("A training client for '" + baseModel
                + "' (lora_rank=" + std::to_string(loraRank) + ") already exists on this service",
            "Use that client, or open a service client of its own"));
    auto errand = Errand<TrainingClient>::start(this);
    auto future = errand->future();
    const auto fail = [this, key, errand = errand.get()](const Error& error) {
        m_created.erase(key); // a failed creation may be tried again
        errand->finish(error);
    };
    errand->await(session(),
        [this, errand = errand.get(), fail, baseModel = std::move(baseModel), loraRank,
            userMetadata = std::move(userMetadata)](const Result<std::string>& session) {
            if (!session)
                return fail(session.error());
            CreateModel create;
            create.sessionId = *session;
            create.modelSeqId = m_nextModelSeqId++;
            create.baseModel = baseModel;
            create.userMetadata = userMetadata;
            create.lora = LoraConfig {};
            create.lora->rank = loraRank;
            if (loraRank > 0)
                create.lora->alpha = 32; // the SDK pins it (trainer.md 2.1)
            const auto doing = "create the model for " + baseModel;
            auto request =
                trainerRequest(m_baseUrl, "create_model", encodeCreateModel(create), doing);
            errand->await(m_http.send(std::move(request)),
                [this, errand, fail, doing](const Result<HttpReply>& reply) {
                    const auto ref = reply.and_then(
                        [](const HttpReply& answer) { return decodeFutureRef(bodyOf(answer)); });
                    if (!ref)
                        return fail(ref.error());
                    auto poll = Errand<std::string>::start(this);
                    auto body = poll->future();
                    awaitResult(std::move(poll), m_http, m_baseUrl, ref->requestId, doing);
                    errand->await(
                        std::move(body), [this, errand, fail](const Result<std::string>& result) {
                            const auto model = result.and_then(
                                [](const std::string& text) { return decodeModelResult(text); });
                            if (!model)
                                return fail(model.error());
                            errand->finish(std::make_shared<FiretitanTrainingClient>(
                                m_http, m_baseUrl, *model));
                        });
                });
        });
    return future;
}

QFuture<Result<std::vector<SupportedModel>>> FiretitanServiceClient::serverCapabilities()
{
    return mapFuture<std::vector<SupportedModel>>(
        m_http.send(getOf(m_baseUrl, "get_server_capabilities", "read the trainer's capabilities")),
        this, [](const Result<HttpReply>& reply) {
            return reply.and_then(
                [](const HttpReply& answer) { return decodeCapabilities(bodyOf(answer)); });
        });
}

FiretitanTrainingClient::FiretitanTrainingClient(
    HttpClient& http, std::string baseUrl, std::string modelId, QObject* parent)
    : QObject(parent)
    , m_http(http)
    , m_baseUrl(std::move(baseUrl))
    , m_modelId(std::move(modelId))
    , m_nameSuffix(randomSuffix())
    , m_queue(std::make_unique<SubmissionQueue>(http, m_baseUrl))
{
}

FiretitanTrainingClient::~FiretitanTrainingClient() = default;

std::string FiretitanTrainingClient::qualifiedName(const std::string& name) const
{
    return name + "-" + m_nameSuffix;
}

QFuture<Result<ForwardResult>> FiretitanTrainingClient::forward(
    std::vector<Datum> data, std::string lossFn, std::map<std::string, double> lossConfig)
{
    return run(false, std::move(data), std::move(lossFn), std::move(lossConfig));
}

QFuture<Result<ForwardResult>> FiretitanTrainingClient::forwardBackward(
    std::vector<Datum> data, std::string lossFn, std::map<std::string, double> lossConfig)
{
    return run(true, std::move(data), std::move(lossFn), std::move(lossConfig));
}

QFuture<Result<ForwardResult>> FiretitanTrainingClient::run(bool isBackward,
    std::vector<Datum> data, std::string lossFn, std::map<std::string, double> lossConfig)
{
    if (data.empty())
        return finishedFuture<ForwardResult>(
            wrongCall("No data provided", "Give at least one datum"));
    struct Parts
    {
        std::vector<ForwardResult> results;
        std::size_t missing = 0;
    };
    auto chunks = chunked(std::move(data));
    auto parts = std::make_shared<Parts>();
    parts->results.resize(chunks.size());
    parts->missing = chunks.size();
    auto errand = Errand<ForwardResult>::start(this);
    const std::string rpc = isBackward ? "forward_backward" : "forward";
    for (std::size_t i = 0; i < chunks.size(); ++i) {
        ForwardRequest request;
        request.isBackward = isBackward;
        request.modelId = m_modelId;
        request.lossFn = lossFn;
        request.lossConfig = lossConfig;
        request.data = std::move(chunks[i]);
        auto body = m_queue->submit(rpc, isBackward ? "compute gradients" : "compute the loss",
            [request = std::move(request)](std::int64_t seqId) mutable {
                request.seqId = seqId;
                return encodeForward(request);
            });
        errand->await(
            std::move(body), [errand = errand.get(), parts, i](const Result<std::string>& text) {
                auto result = text.and_then(
                    [](const std::string& json) { return decodeForwardResult(json); });
                if (!result)
                    return errand->finish(result.error());
                parts->results[i] = *std::move(result);
                if (--parts->missing == 0)
                    errand->finish(merged(std::move(parts->results)));
            });
    }
    return errand->future();
}

QFuture<Result<OptimResult>> FiretitanTrainingClient::optimStep(
    AdamParams params, GradAccNormalization normalization)
{
    OptimStep request { m_modelId, 0, std::move(params), normalization };
    auto body = m_queue->submit("optim_step", "apply the optimizer step",
        [request = std::move(request)](std::int64_t seqId) mutable {
            request.seqId = seqId;
            return Result<std::string>(encodeOptimStep(request));
        });
    return decodedResult<OptimResult>(std::move(body), this, decodeOptimResult);
}

QFuture<Result<std::string>> FiretitanTrainingClient::saveState(
    std::string name, std::optional<std::int64_t> ttlSeconds)
{
    const auto doing = "save the train state " + name;
    SaveWeights request { m_modelId, std::move(name), 0, ttlSeconds, false };
    auto body = m_queue->submit(
        "save_weights", doing, [request = std::move(request)](std::int64_t seqId) mutable {
            request.seqId = seqId;
            return Result<std::string>(encodeSaveWeights(request));
        });
    return mapFuture<std::string>(std::move(body), this, [](const Result<std::string>& text) {
        return text.and_then([](const std::string& json) { return decodeWeightsResult(json); })
            .transform([](const WeightsResult& result) { return result.path; });
    });
}

QFuture<Status> FiretitanTrainingClient::load(std::string path, bool withOptimizer)
{
    const auto doing = "load the train state " + path;
    LoadWeights request { m_modelId, std::move(path), withOptimizer, 0 };
    auto body = m_queue->submit(
        "load_weights", doing, [request = std::move(request)](std::int64_t seqId) mutable {
            request.seqId = seqId;
            return Result<std::string>(encodeLoadWeights(request));
        });
    return mapFuture<std::monostate>(std::move(body), this,
        [](const Result<std::string>& text) { return text ? done() : Status(text.error()); });
}

QFuture<Status> FiretitanTrainingClient::loadState(std::string path)
{
    return load(std::move(path), false);
}

QFuture<Status> FiretitanTrainingClient::loadStateWithOptimizer(std::string path)
{
    return load(std::move(path), true);
}

QFuture<Result<SaveSamplerResult>> FiretitanTrainingClient::saveWeightsForSamplerExt(
    std::string name, std::string checkpointType, std::optional<std::int64_t> ttlSeconds)
{
    if (checkpointType.empty())
        checkpointType = m_hasSavedBase ? "delta" : "base";
    const bool isKnown = std::any_of(kCheckpointTypes.begin(), kCheckpointTypes.end(),
        [&](const char* type) { return checkpointType == type; });
    if (!isKnown)
        return finishedFuture<SaveSamplerResult>(
            wrongCall("checkpoint_type must be one of base, delta; not " + checkpointType,
                "Choose base or delta"));
    SaveForSampler request;
    request.modelId = m_modelId;
    request.path = qualifiedName(name);
    request.ttlSeconds = ttlSeconds;
    request.checkpointType = checkpointType;
    const auto snapshot = request.path;
    auto body = m_queue->submit("save_weights_for_sampler",
        "save " + snapshot + " (" + checkpointType + ")",
        [request = std::move(request)](std::int64_t seqId) mutable {
            request.seqId = seqId;
            return Result<std::string>(encodeSaveForSampler(request));
        });
    return mapFuture<SaveSamplerResult>(std::move(body), this,
        [this, snapshot, isBase = checkpointType == "base"](const Result<std::string>& text) {
            const auto saved =
                text.and_then([](const std::string& json) { return decodeWeightsResult(json); });
            if (!saved)
                return Result<SaveSamplerResult>(saved.error());
            if (saved->path.empty())
                return Result<SaveSamplerResult>(Error { Error::Code::Malformed,
                    "The trainer saved " + snapshot + " but named no path", {},
                    "Look for the snapshot in the job's checkpoints", {} });
            m_hasSavedBase = m_hasSavedBase || isBase;
            return Result<SaveSamplerResult>(SaveSamplerResult { saved->path, snapshot });
        });
}

QFuture<Result<std::vector<std::string>>> FiretitanTrainingClient::listCheckpoints()
{
    using Names = std::vector<std::string>;
    auto request = getOf(m_baseUrl, "list_checkpoints", "list the trainer's states");
    return mapFuture<Names>(
        m_http.send(std::move(request)), this, [](const Result<HttpReply>& reply) {
            return reply.and_then(
                [](const HttpReply& answer) { return decodeCheckpointNames(bodyOf(answer)); });
        });
}

QFuture<Result<ModelInfo>> FiretitanTrainingClient::info()
{
    auto request = trainerRequest(
        m_baseUrl, "get_info", encodeModelRequest(m_modelId, "get_info"), "read the model's facts");
    return mapFuture<ModelInfo>(
        m_http.send(std::move(request)), this, [](const Result<HttpReply>& reply) {
            return reply.and_then(
                [](const HttpReply& answer) { return decodeModelInfo(bodyOf(answer)); });
        });
}

Result<std::string> FiretitanTrainingClient::resolveCheckpointPath(
    const std::string& name, const std::string& sourceJobId)
{
    const auto plain = trimmed(name);
    if (plain.empty())
        return wrongCall("checkpoint_name cannot be empty", "Name a train state");
    const bool isPath = plain.rfind("gs://", 0) == 0 || plain.front() == '/';
    if (isPath && !sourceJobId.empty())
        return wrongCall("A full path needs no source job: " + plain,
            "Give the name of the state, or leave the job out");
    if (isPath || sourceJobId.empty())
        return plain;
    const auto job = trimmed(sourceJobId);
    if (job.empty())
        return wrongCall("source_job_id cannot be empty", "Name the job that saved the state");
    return "cross_job://" + job + "/" + plain;
}

} // namespace desk
