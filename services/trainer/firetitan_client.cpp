// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/firetitan_client.h"

#include "services/errand.h"
#include "services/trainer/future_poller.h"

using namespace std::chrono_literals;

namespace desk {
namespace {

    constexpr auto kReadBudget = 30s;
    constexpr double kDefaultAlpha = 32; // the SDK pins it (trainer.md 2.1)

    std::string_view serviceBodyOf(const HttpReply& reply)
    {
        return { reply.body.constData(), static_cast<std::size_t>(reply.body.size()) };
    }

    Error serviceMisused(std::string message, const char* next)
    {
        return { Error::Code::Usage, std::move(message), "Nothing was sent", next, {} };
    }

    TrainerCall serviceRead(std::string rpc, std::string body, std::string doing)
    {
        TrainerCall call;
        call.rpc = std::move(rpc);
        call.isGet = body.empty();
        call.body = std::move(body);
        call.doing = std::move(doing);
        call.budget = kReadBudget;
        return call;
    }

} // namespace

FiretitanServiceClient::FiretitanServiceClient(
    HttpClient& http, std::string baseUrl, QObject* parent)
    : QObject(parent)
    , m_session(std::make_shared<TrainerSession>(http, std::move(baseUrl)))
{
}

FiretitanServiceClient::~FiretitanServiceClient() = default;

QFuture<Result<FiretitanServiceClient::TrainingClient>>
FiretitanServiceClient::createTrainingClient(
    std::string baseModel, int loraRank, Metadata userMetadata)
{
    LoraConfig lora;
    lora.rank = loraRank;
    return createTrainingClient(std::move(baseModel), lora, std::move(userMetadata));
}

QFuture<Result<FiretitanServiceClient::TrainingClient>>
FiretitanServiceClient::createTrainingClient(
    std::string baseModel, LoraConfig lora, Metadata userMetadata)
{
    if (baseModel.empty() || lora.rank < 0)
        return finishedFuture<TrainingClient>(serviceMisused(
            baseModel.empty() ? "No base model was named" : "lora_rank is less than 0",
            "Name the base model of the job, and its rank: 0 for full parameters"));
    if (lora.rank > 0 && !lora.trainsAttention && !lora.trainsMlp && !lora.trainsUnembed)
        return finishedFuture<TrainingClient>(
            serviceMisused("An adapter that trains no part of the model cannot learn",
                "Train attention, MLP or unembedding"));
    if (lora.rank > 0 && !lora.alpha)
        lora.alpha = kDefaultAlpha;
    const Key key { baseModel, lora.rank };
    CreateModel request;
    request.baseModel = std::move(baseModel);
    request.userMetadata = std::move(userMetadata);
    request.lora = lora;
    return create(std::move(request), key, {}, false);
}

QFuture<Result<FiretitanServiceClient::TrainingClient>>
FiretitanServiceClient::createReferenceClient(std::string baseModel)
{
    CreateModel request;
    request.baseModel = std::move(baseModel);
    request.isBaseOnly = true;
    return create(std::move(request), {}, {}, false);
}

QFuture<Result<FiretitanServiceClient::TrainingClient>> FiretitanServiceClient::create(
    CreateModel request, const Key& key, const std::string& loadFrom, bool withOptimizer)
{
    const bool isCounted = !request.isBaseOnly;
    if (isCounted && !m_created.insert(key).second)
        return finishedFuture<TrainingClient>(
            serviceMisused("A training client for '" + request.baseModel + "' (lora_rank="
                    + std::to_string(key.second) + ") already exists on this service",
                "Use that client, or open a service client of its own"));
    auto errand = Errand<TrainingClient>::start(this);
    auto future = errand->future();
    onFinished(future, this, [this, key, isCounted](const Result<TrainingClient>& client) {
        if (!client && isCounted)
            m_created.erase(key); // a failed creation may be tried again
    });
    const auto doing = "create the model for " + request.baseModel;
    const auto type = request.isBaseOnly ? "CreateBaseModel" : "CreateModel";
    errand->awaitValue(m_session->open(),
        [this, errand = errand.get(), request = std::move(request), doing, type, loadFrom,
            withOptimizer](const std::string& session) mutable {
            request.sessionId = session;
            request.modelSeqId = m_session->takeModelSeqId();
            TrainerCall call;
            call.rpc = "create_model";
            call.body = encodeCreateModel(request);
            call.doing = doing;
            TrainedModel model;
            model.baseModel = request.baseModel;
            model.loraRank = request.lora ? request.lora->rank : 0;
            model.isBaseOnly = request.isBaseOnly;
            errand->awaitValue(m_session->call(std::move(call), this),
                [this, errand, doing, type, model, loadFrom, withOptimizer](
                    const HttpReply& reply) {
                    const auto ref = decodeFutureRef(serviceBodyOf(reply));
                    if (!ref)
                        return errand->finish(ref.error());
                    errand->awaitValue(
                        m_session->poller().await(ref->requestId, "new model", type, doing),
                        [this, errand, model, loadFrom, withOptimizer](
                            const PollAnswer& answer) mutable {
                            const auto id = decodeModelResult(answer.body);
                            if (answer.isExpired || !id)
                                return errand->finish(answer.isExpired
                                        ? Error { Error::Code::Backend, answer.body,
                                            "No client was made", "Try again", {} }
                                        : id.error());
                            model.modelId = *id;
                            auto client = std::make_shared<FiretitanTrainingClient>(
                                m_session, std::move(model));
                            if (loadFrom.empty())
                                return errand->finish(TrainingClient(client));
                            errand->awaitValue(withOptimizer
                                    ? client->loadStateWithOptimizer(loadFrom)
                                    : client->loadState(loadFrom),
                                [errand, client](
                                    std::monostate) { errand->finish(TrainingClient(client)); });
                        });
                });
        });
    return future;
}

QFuture<Result<FiretitanServiceClient::TrainingClient>>
FiretitanServiceClient::createTrainingClientFromState(
    std::string path, bool withOptimizer, Metadata userMetadata)
{
    auto errand = Errand<TrainingClient>::start(this);
    auto future = errand->future();
    errand->awaitValue(weightsInfo(path),
        [this, errand = errand.get(), path, withOptimizer, userMetadata = std::move(userMetadata)](
            const WeightsFacts& facts) {
            CreateModel request;
            request.baseModel = facts.baseModel;
            request.userMetadata = userMetadata;
            request.lora = LoraConfig {};
            request.lora->rank = facts.isLora ? facts.loraRank : 0;
            request.lora->trainsUnembed = facts.trainsUnembed;
            request.lora->trainsMlp = facts.trainsMlp;
            request.lora->trainsAttention = facts.trainsAttention;
            if (request.lora->rank > 0)
                request.lora->alpha = kDefaultAlpha;
            const Key key { facts.baseModel, request.lora->rank };
            errand->await(create(std::move(request), key, path, withOptimizer),
                [errand](const Result<TrainingClient>& client) { errand->finish(client); });
        });
    return future;
}

QFuture<Result<FiretitanServiceClient::SamplingClient>>
FiretitanServiceClient::createSamplingClient(std::string baseModel, std::string modelPath)
{
    if (baseModel.empty() == modelPath.empty())
        return finishedFuture<SamplingClient>(
            serviceMisused("A sampling client draws from a base model or from saved weights",
                "Give one of base_model and model_path"));
    auto errand = Errand<SamplingClient>::start(this);
    auto future = errand->future();
    errand->awaitValue(m_session->open(),
        [this, errand = errand.get(), baseModel = std::move(baseModel),
            modelPath = std::move(modelPath)](const std::string& session) {
            const CreateSamplingSession request { session, m_session->takeSamplingSeqId(),
                baseModel, modelPath };
            TrainerCall call;
            call.rpc = "create_sampling_session";
            call.body = encodeCreateSamplingSession(request);
            call.doing = "open a sampling session";
            errand->awaitValue(
                m_session->call(std::move(call), this), [this, errand](const HttpReply& reply) {
                    const auto id = decodeSamplingSessionCreated(serviceBodyOf(reply));
                    if (!id)
                        return errand->finish(id.error());
                    errand->finish(std::make_shared<FiretitanSamplingClient>(m_session, *id));
                });
        });
    return future;
}

QFuture<Result<WeightsFacts>> FiretitanServiceClient::weightsInfo(std::string path)
{
    if (path.empty())
        return finishedFuture<WeightsFacts>(
            serviceMisused("No path was named", "Name a saved state"));
    auto call = serviceRead(
        "weights_info", encodeWeightsInfoCall(path), "read what " + path + " was trained as");
    return mapFuture<WeightsFacts>(
        m_session->call(std::move(call), this), this, [](const Result<HttpReply>& reply) {
            return reply.and_then([](const HttpReply& answer) {
                return decodeWeightsInfoAnswer(serviceBodyOf(answer));
            });
        });
}

QFuture<Result<std::vector<SupportedModel>>> FiretitanServiceClient::serverCapabilities()
{
    auto call = serviceRead("get_server_capabilities", {}, "read the trainer's capabilities");
    return mapFuture<std::vector<SupportedModel>>(
        m_session->call(std::move(call), this), this, [](const Result<HttpReply>& reply) {
            return reply.and_then(
                [](const HttpReply& answer) { return decodeCapabilities(serviceBodyOf(answer)); });
        });
}

} // namespace desk
