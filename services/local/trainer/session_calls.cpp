// SPDX-License-Identifier: GPL-3.0-or-later
// Handshake, sessions, telemetry and futures of TrainerService.
#include "services/local/server/log.h"
#include "services/local/trainer/trainer_service.h"

#include <utility>
#include <vector>

namespace desk::local {

namespace {

    HttpResponse emptyAnswer()
    {
        HttpResponse response;
        response.status = 204;
        return response;
    }

} // namespace

void TrainerService::addSessionRoutes(Router& router)
{
    router.add("GET", "/api/v1/healthz", [this](HttpRequest request, Responder responder) {
        const auto job = jobOf(request);
        if (!job && !request.trainerJob.empty()) // "not ready" is never a 5xx
            return responder.send(detailResponse(404, job.error().message));
        responder.send(jsonResponse(encodeHealthz()));
    });
    // Telemetry holds the client's own headers, keys and tracebacks: accepted, never kept, and for
    // every trainer there ever was: a client waits 30 s for a refusal to change.
    router.add("POST", "/api/v1/telemetry", [](HttpRequest, Responder responder) {
        responder.send(jsonResponse(R"({"status":"accepted"})"));
    });
    post(router, "client/config", &TrainerService::clientConfig);
    router.add("POST", "/api/v1/client/dynamic_config", [](HttpRequest, Responder responder) {
        responder.send(jsonResponse(R"({"refresh_interval_sec":300,"sample_cancel_enabled":true,)"
                                    R"("sample_cancel_max_batch_size":64})"));
    });
    post(router, "create_session", &TrainerService::createSession);
    post(router, "session_heartbeat", &TrainerService::heartbeat);
    post(router, "sessions/{session}/finish", &TrainerService::finishSession);
    post(router, "retrieve_future", &TrainerService::retrieve);
    router.add("GET", "/api/v1/get_server_capabilities",
        [this](HttpRequest request, Responder responder) { capabilities(request, responder); });
}

void TrainerService::clientConfig(const HttpRequest& request, const Responder& responder)
{
    // Everything else has the client's own default. 0.23 runs without its second transport so.
    responder.send(jsonResponse(isNewTinker(request)
            ? R"({"parallel_fwdbwd_chunks":true})"
            : R"({"parallel_fwdbwd_chunks":true,"use_pyqwest_transport":false})"));
}

void TrainerService::createSession(const HttpRequest& request, const Responder& responder)
{
    std::string job;
    if (!request.trainerJob.empty()) {
        const auto row = jobOf(request);
        if (!row)
            return responder.send(trainerError(row.error()));
        job = row->id;
    }
    auto wanted = decodeCreateSession(request.body);
    if (!wanted)
        return responder.send(trainerError(wanted.error()));
    auto id = m_sessions.create(*wanted, job);
    if (!id)
        return responder.send(trainerError(id.error()));
    SessionCreated answer;
    answer.sessionId = *id;
    answer.infoMessage = "embedded backend of Trainer Desk, training on this machine's processor";
    responder.send(jsonResponse(encodeSessionCreated(answer)));
}

void TrainerService::heartbeat(const HttpRequest& request, const Responder& responder)
{
    auto id = decodeHeartbeat(request.body);
    if (!id)
        return responder.send(trainerError(id.error()));
    switch (m_sessions.touch(*id)) {
    case SessionTable::State::Live:
        return responder.send(jsonResponse(R"({"type":"session_heartbeat"})"));
    case SessionTable::State::Finished: // ends the client's loop
        return responder.send(detailResponse(410, "the session " + *id + " has been finished"));
    case SessionTable::State::Unknown:
        break;
    }
    responder.send(detailResponse(404,
        "the session " + id->substr(0, 100)
            + " is not known: the backend was restarted, or it never was; create a new session"));
}

void TrainerService::finishSession(const HttpRequest& request, const Responder& responder)
{
    const auto id = request.parameter("session");
    auto end = decodeFinishSession(request.body);
    if (!end)
        return responder.send(trainerError(end.error()));
    const auto state = m_sessions.finish(id, *end);
    if (state == SessionTable::State::Unknown)
        return responder.send(
            detailResponse(404, "there is no session " + id.substr(0, 100) + " here"));
    if (state == SessionTable::State::Live) {
        std::vector<ModelPtr> gone;
        {
            const std::scoped_lock lock(m_mutex);
            for (auto model = m_models.begin(); model != m_models.end();) {
                if (model->second->session != id) {
                    ++model;
                    continue;
                }
                gone.push_back(model->second);
                model = m_models.erase(model);
            }
        }
        for (const auto& model : gone)
            if (model->job == ObjectStore::jobOfRun(model->id))
                (void)m_parts.store.setJobState(model->job, JobState::Completed, {});
        dropModels(gone, "the session " + id + " has been finished");
        m_parts.parsers.post([this, id] { m_parts.samplers.endSession(id); });
        logLine(LogLevel::Info, "session " + id + " ended: " + end->reason);
    }
    responder.send(emptyAnswer());
}

void TrainerService::retrieve(const HttpRequest& request, const Responder& responder)
{
    auto id = decodeRetrieve(request.body);
    if (!id)
        return responder.send(trainerError(id.error()));
    if (m_parts.futures.poll(*id, responder, request.header("Accept")))
        return;
    auto error = lostModel("of request " + *id, request.trainerJob);
    error.code = Error::Code::NotFound;
    error.message = "the request " + id->substr(0, 100)
        + " is not known: its model is not live, for the backend was restarted or the result "
          "expired";
    responder.send(trainerError(error));
}

void TrainerService::capabilities(const HttpRequest&, const Responder& responder)
{
    auto models = m_parts.store.models();
    if (!models)
        return responder.send(trainerError(models.error()));
    std::vector<SupportedModel> supported;
    for (const auto& row : *models)
        if (row.isBase)
            supported.push_back({ row.model.name, row.model.contextLength, true, true });
    // By their ids, too: a sampling client asks a hub for the tokenizer of the model's name, and
    // only a name with at most one slash can be a hub's.
    for (const auto& row : *models)
        if (row.isBase && row.folder.rfind("base/stand-in-", 0) != 0)
            supported.push_back({ row.id, row.model.contextLength, true, true });
    responder.send(jsonResponse(encodeCapabilities(supported)));
}

} // namespace desk::local
