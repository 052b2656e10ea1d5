// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/rehearsal/rehearsals.h"

#include "services/codecs/error_codec.h"
#include "services/codecs/gateway_codec.h"
#include "services/codecs/hotload_codec.h"
#include "services/codecs/trainer_codec.h"
#include "services/core/resource_name.h"
#include "services/local/server/auth.h"

#include <algorithm>
#include <utility>

namespace desk::local {

namespace {

    constexpr std::chrono::seconds kAbandonedAfter { 60 };
    constexpr std::size_t kMostRehearsals = 16;
    constexpr std::size_t kMostEntries = 4'096;
    constexpr std::size_t kMostMessage = 300;
    constexpr std::size_t kMostReadAnswer = std::size_t { 64 } << 10;

    std::string segmentAfter(const HttpRequest& request, std::string_view word)
    {
        const auto& path = request.segments;
        for (std::size_t i = 0; i + 1 < path.size(); ++i)
            if (path[i] == word)
                return path[i + 1].substr(0, path[i + 1].rfind(':'));
        return {};
    }

    bool endsWith(const std::string& text, std::string_view tail)
    {
        return text.size() >= tail.size()
            && text.compare(text.size() - tail.size(), tail.size(), tail) == 0;
    }

    /// Answers that only mean "not yet".
    bool isOrdinary(int status, const std::string& method)
    {
        return status < 400 || status == 425 || (status == 404 && method == "GET");
    }

    class PassedSink final : public ResponseStream::Sink
    {
    public:
        explicit PassedSink(ResponseStream next)
            : m_next(std::move(next))
        {
        }
        void write(std::string bytes) override { m_next.write(std::move(bytes)); }
        void end() override { m_next.end(); }
        void drop() override { m_next.drop(); }

    private:
        ResponseStream m_next;
    };

    std::string rehearsedKind(const CheckpointRow& row)
    {
        return row.space == CheckpointSpace::State ? "state" : kindWord(row.record.type);
    }

} // namespace

/// Passes an answer on after it was noted.
class Rehearsals::Channel final : public Responder::Channel
{
public:
    Channel(Rehearsals& owner, std::string id, Call call, Responder next)
        : m_owner(owner)
        , m_id(std::move(id))
        , m_call(std::move(call))
        , m_next(std::move(next))
    {
    }
    void send(HttpResponse response) override
    {
        m_owner.answered(m_id, m_call, response.status, response.body);
        if (response.status == 200 && endsWith(m_call.path, "/create_session"))
            m_owner.announce(m_id, response.body);
        m_next.send(std::move(response));
    }
    void drop() override { m_next.drop(); }
    std::shared_ptr<ResponseStream::Sink> stream(HttpResponse head) override
    {
        m_owner.answered(m_id, m_call, head.status, {});
        return std::make_shared<PassedSink>(m_next.stream(std::move(head)));
    }
    std::shared_ptr<Presence> presence() const override { return m_next.presence(); }

private:
    Rehearsals& m_owner;
    std::string m_id;
    Call m_call;
    Responder m_next;
};

Rehearsals::Rehearsals(ObjectStore& store, StandIns& standIns)
    : m_store(store)
    , m_standIns(standIns)
{
}

void Rehearsals::addRoutes(Router& router)
{
    router.add("POST", "/local/v1/rehearsals",
        [this](
            const HttpRequest& request, const Responder& responder) { begin(request, responder); });
    const auto record = [this](const HttpRequest& request, bool isLast) -> HttpResponse {
        Rehearsal found;
        {
            const std::scoped_lock lock(m_mutex);
            const auto at = m_rehearsals.find(request.parameter("id"));
            if (at == m_rehearsals.end())
                return errorResponse(404, "there is no such rehearsal; it may have been abandoned");
            at->second.lastAsked = std::chrono::steady_clock::now();
            found = at->second;
            if (isLast)
                m_rehearsals.erase(at);
            allowStandIns();
        }
        return jsonResponse(encodeRehearsal(recordOf(found)));
    };
    router.add("GET", "/local/v1/rehearsals/{id}",
        [record](const HttpRequest& request, const Responder& responder) {
            responder.send(record(request, false));
        });
    router.add("DELETE", "/local/v1/rehearsals/{id}",
        [record](const HttpRequest& request, const Responder& responder) {
            responder.send(record(request, true));
        });
}

void Rehearsals::begin(const HttpRequest& request, const Responder& responder)
{
    const auto wanted = decodeRehearsalBegin(request.body);
    if (!wanted)
        return responder.send(errorResponse(400, wanted.error().message));
    Rehearsal rehearsal;
    rehearsal.id = "rehearsal-" + randomHex(8);
    rehearsal.key = randomHex(48);
    rehearsal.began = m_store.now();
    rehearsal.lastAsked = std::chrono::steady_clock::now();
    const RehearsalStarted started { rehearsal.id, rehearsal.key };
    for (const auto& [name, size] : wanted->vocabularies)
        m_standIns.wish(name, size);
    if (!wanted->hubCache.empty())
        m_standIns.setHubCache(wanted->hubCache);
    {
        const std::scoped_lock lock(m_mutex);
        if (m_rehearsals.size() >= kMostRehearsals)
            return responder.send(
                errorResponse(429, "too many rehearsals run at once; let one of them end"));
        m_rehearsals.emplace(started.id, std::move(rehearsal));
        allowStandIns();
    }
    responder.send(jsonResponse(encodeRehearsalStarted(started)));
}

void Rehearsals::allowStandIns()
{
    m_standIns.allow(!m_rehearsals.empty());
}

void Rehearsals::expire(std::chrono::steady_clock::time_point now)
{
    const std::scoped_lock lock(m_mutex);
    std::erase_if(m_rehearsals,
        [&](const auto& entry) { return now - entry.second.lastAsked > kAbandonedAfter; });
    allowStandIns();
}

std::string Rehearsals::ownerOf(const HttpRequest& request) const
{
    const std::scoped_lock lock(m_mutex);
    for (const auto& [id, rehearsal] : m_rehearsals)
        if (isAuthorized(request, rehearsal.key))
            return id;
    return {};
}

Rehearsals::Call Rehearsals::summaryOf(const HttpRequest& request)
{
    Call call;
    call.method = request.method;
    call.path = request.path();
    HttpRequest lifted;
    lifted.segments = request.segments;
    liftTrainerPrefix(lifted);
    call.job = lifted.trainerJob;
    if (call.job.empty() && segmentAfter(request, "rlorTrainerJobs") != "")
        call.job = segmentAfter(request, "rlorTrainerJobs");
    call.deployment = segmentAfter(request, "deployments");
    if (endsWith(call.path, kHotloadPath)) {
        call.deployment =
            std::string(lastSegment(std::string(request.header(kHotloadDeploymentHeader))));
        if (const auto load = decodeHotload(request.body))
            call.identity = load->identity;
    }
    if (request.method != "POST")
        return call;
    if (endsWith(call.path, "/rlorTrainerJobs")) {
        if (const auto job = decodeCreateJob(request.body, request.query))
            call.baseModel = job->baseModel;
    } else if (endsWith(call.path, "/deployments")) {
        if (const auto deployment = decodeCreateDeployment(request.body, request.query))
            call.baseModel = deployment->baseModel;
    } else if (endsWith(call.path, "/create_model")) {
        if (const auto model = decodeCreateModel(request.body))
            call.baseModel = model->baseModel;
    }
    return call;
}

Responder Rehearsals::observe(
    const std::string& id, const HttpRequest& request, Responder responder)
{
    return Responder(
        std::make_shared<Channel>(*this, id, summaryOf(request), std::move(responder)));
}

void Rehearsals::answered(
    const std::string& id, const Call& call, int status, const std::string& body)
{
    const std::scoped_lock lock(m_mutex);
    const auto at = m_rehearsals.find(id);
    if (at == m_rehearsals.end())
        return;
    auto& rehearsal = at->second;
    ++rehearsal.requests;
    const bool isOk = status >= 200 && status < 300;
    if (!call.baseModel.empty() && m_standIns.find(call.baseModel))
        rehearsal.standIns.insert(call.baseModel);
    if (isOk && endsWith(call.path, "/completions"))
        ++rehearsal.completions;
    if (isOk && endsWith(call.path, "/asample"))
        ++rehearsal.samples;
    if (isOk && body.size() <= kMostReadAnswer)
        learnNames(rehearsal, call, body);
    if (call.method == "POST" && !call.identity.empty() && rehearsal.loads.size() < kMostEntries)
        rehearsal.loads.push_back({ call.deployment, call.identity, status });
    if (isOrdinary(status, call.method))
        return;
    auto message = decodeErrorMessage(body).substr(0, kMostMessage);
    const auto same = std::find_if(
        rehearsal.refusals.begin(), rehearsal.refusals.end(), [&](const RehearsedRefusal& refusal) {
            return refusal.method == call.method && refusal.path == call.path
                && refusal.status == status && refusal.message == message;
        });
    if (same != rehearsal.refusals.end())
        ++same->count;
    else if (rehearsal.refusals.size() < kMostEntries)
        rehearsal.refusals.push_back({ call.method, call.path, status, std::move(message), 1 });
}

void Rehearsals::announce(const std::string& id, std::string& body)
{
    auto session = decodeSessionCreated(body);
    if (!session)
        return;
    session->infoMessage = "Rehearsal on the local backend of Trainer Desk: nothing is paid for. "
                           "A model that it does not have is played by a small stand-in";
    const std::scoped_lock lock(m_mutex);
    if (const auto at = m_rehearsals.find(id); at != m_rehearsals.end())
        for (const auto& name : at->second.standIns)
            if (const auto standIn = m_standIns.find(name))
                session->infoMessage += "; " + standInSentence(*standIn);
    body = encodeSessionCreated(*session);
}

void Rehearsals::learnNames(Rehearsal& rehearsal, const Call& call, const std::string& body)
{
    if (!call.job.empty() && rehearsal.jobs.size() < kMostEntries)
        rehearsal.jobs.insert(call.job);
    if (call.method == "DELETE" && !call.deployment.empty()) {
        auto& gone = rehearsal.deployments[call.deployment];
        gone.id = call.deployment;
        gone.isDeleted = true;
        gone.deleted = m_store.now();
        return;
    }
    if (!call.deployment.empty() && rehearsal.deployments.size() < kMostEntries)
        rehearsal.deployments[call.deployment].id = call.deployment;
    if (call.method != "POST")
        return;
    if (endsWith(call.path, "/rlorTrainerJobs")) {
        if (const auto job = decodeJob(body))
            rehearsal.jobs.insert(std::string(lastSegment(job->name)));
    } else if (endsWith(call.path, "/deployments")) {
        if (const auto deployment = decodeDeployment(body)) {
            const auto id = std::string(lastSegment(deployment->name));
            rehearsal.deployments[id].id = id;
            rehearsal.deployments[id].isDeleted = false;
        }
    } else if (endsWith(call.path, "/create_session")) {
        if (const auto session = decodeSessionCreated(body))
            rehearsal.sessions.insert(session->sessionId);
    }
}

void Rehearsals::note(const TrainingNote& note)
{
    const std::scoped_lock lock(m_mutex);
    for (auto& [id, rehearsal] : m_rehearsals) {
        if (!rehearsal.sessions.contains(note.session))
            continue;
        if (rehearsal.models.size() >= kMostEntries && !rehearsal.models.contains(note.model))
            return;
        auto& model = rehearsal.models[note.model];
        model.id = note.model;
        model.job = note.job;
        model.baseModel = note.baseModel;
        model.loraRank = note.loraRank;
        if (!note.job.empty())
            rehearsal.jobs.insert(note.job);
        switch (note.kind) {
        case TrainingNote::Kind::Opened:
            if (m_standIns.find(note.baseModel))
                rehearsal.standIns.insert(note.baseModel);
            break;
        case TrainingNote::Kind::Forward:
            ++model.forwardCalls;
            break;
        case TrainingNote::Kind::Backward:
            ++model.backwardCalls;
            model.trainedTokens += note.tokens;
            if (note.loss && !model.firstLoss)
                model.firstLoss = note.loss;
            if (note.loss)
                model.lastLoss = note.loss;
            break;
        case TrainingNote::Kind::Step:
            ++model.steps;
            break;
        case TrainingNote::Kind::Failed:
            ++model.failedCalls;
            model.lastFailure = note.message.substr(0, kMostMessage);
            break;
        }
        return;
    }
}

RehearsalRecord Rehearsals::recordOf(const Rehearsal& rehearsal) const
{
    RehearsalRecord record;
    record.id = rehearsal.id;
    record.began = rehearsal.began;
    for (const auto& name : rehearsal.standIns)
        if (const auto standIn = m_standIns.find(name))
            record.standIns.push_back(*standIn);
    for (const auto& [id, model] : rehearsal.models)
        record.models.push_back(model);
    record.hotLoads = rehearsal.loads;
    record.refusals = rehearsal.refusals;
    record.requests = rehearsal.requests;
    record.completions = rehearsal.completions;
    record.sampledSequences = rehearsal.samples;
    addJobs(rehearsal, record);
    addServing(rehearsal, record);
    return record;
}

void Rehearsals::addJobs(const Rehearsal& rehearsal, RehearsalRecord& record) const
{
    for (const auto& id : rehearsal.jobs) {
        const auto row = m_store.job(id);
        if (!row)
            continue;
        record.jobs.push_back(
            { id, row->job.baseModel, row->job.stateText, row->deleted.has_value(),
                row->job.created, row->deleted ? row->deleted : row->job.completed });
        const auto saves = m_store.checkpoints(id);
        if (!saves)
            continue;
        for (const auto& save : *saves)
            if (save.record.created && *save.record.created >= rehearsal.began)
                record.checkpoints.push_back({ id, save.id, rehearsedKind(save),
                    save.record.isPromotable, save.record.step.value_or(0), save.record.created });
    }
}

void Rehearsals::addServing(const Rehearsal& rehearsal, RehearsalRecord& record) const
{
    if (const auto models = m_store.models())
        for (const auto& row : *models)
            if (!row.isBase && rehearsal.jobs.contains(row.job) && row.model.created
                && *row.model.created >= rehearsal.began)
                record.promoted.push_back({ row.id, row.model.kind, row.model.promotedFrom });
    for (auto [id, deployment] : rehearsal.deployments) {
        const auto row = m_store.deployment(id);
        if (!row && !deployment.isDeleted)
            continue;
        if (row) {
            deployment.state = row->record.state;
            deployment.replicas = row->record.replicaCount.value_or(0);
            deployment.identity = row->targetIdentity;
            deployment.created = row->record.created;
        }
        record.deployments.push_back(deployment);
    }
}

} // namespace desk::local
