// SPDX-License-Identifier: GPL-3.0-or-later
// How a run is steered and how it ends.
#include "services/on_finished.h"
#include "services/train/train_loop.h"

#include <cstdio>
#include <unistd.h>

namespace desk {

void TrainLoop::stop()
{
    if (m_phase == Phase::Finished || m_phase == Phase::Failed || m_phase == Phase::Stopping)
        return;
    m_folder.log("asked to stop");
    const bool wasStarting = m_phase == Phase::Starting;
    m_phase = Phase::Stopping;
    constexpr auto kPatience = std::chrono::seconds(10);
    m_stopTimer.start(kPatience);
    if (wasStarting && !m_training && m_job.empty())
        return; // the job is being created: openSession() ends it
    finishIfIdle();
}

/// Ends the run once nothing is in flight: first the saves that a run leaves behind, then itself.
void TrainLoop::finishIfIdle()
{
    const bool isOver =
        m_phase == Phase::Stopping || (m_phase == Phase::Training && m_done == m_total);
    if (!isOver || m_done != m_submitted || !m_steps.empty() || m_openEvaluations > 0 || m_isSyncing
        || !m_saver || m_saver->openCount() > 0)
        return;
    if (!m_isClosing)
        return closeRun();
    const bool isComplete = m_done == m_total;
    (void)m_folder.writeStatus(isComplete ? RunStatus { 0, "completed", 100 }
                                          : RunStatus { 1, "cancelled", std::nullopt });
    m_folder.log(isComplete ? "completed" : "stopped at step " + std::to_string(m_done));
    finish(done());
}

void TrainLoop::closeRun()
{
    m_isClosing = true;
    const bool isComplete = m_done == m_total;
    const auto ttl = m_spec.recipe.ttlSeconds;
    const auto order = [this](SaveOrder save) {
        onFinished(m_saver->save(std::move(save)), this, [this](const Result<ControlSaved>& saved) {
            if (!saved)
                fail(saved.error());
        });
    };
    if (m_done > 0)
        order({ "state", isComplete ? "final" : stepName(m_done), ttl, m_done, isComplete });
    // A run that is over can save no more, so it leaves something that can be promoted.
    if (isComplete)
        order({ "base", "final", ttl, m_done, true });
    if (m_saver->openCount() == 0)
        finishIfIdle();
}

void TrainLoop::fail(const Error& error)
{
    if (m_phase == Phase::Failed || m_phase == Phase::Finished)
        return;
    m_phase = Phase::Failed;
    const Error full = named(error);
    const bool isNetwork =
        error.code == Error::Code::Unreachable || error.code == Error::Code::Unknown;
    (void)m_folder.writeStatus({ isNetwork ? 14 : 9, full.message, std::nullopt });
    m_folder.log("failed: " + full.message);
    finish(full);
}

void TrainLoop::finish(const Status& result)
{
    if (m_phase == Phase::Finished)
        return;
    if (m_phase != Phase::Failed)
        m_phase = Phase::Finished;
    else if (result)
        return;
    m_stopTimer.stop();
    Q_EMIT ended(result);
}

Error TrainLoop::named(Error error) const
{
    if (m_done > 0)
        error.message += " (after step " + std::to_string(m_done) + ")";
    if (m_job.empty())
        return error;
    const bool hasState = m_saver && !m_saver->newestState().empty();
    error.unchanged = hasState
        ? "The newest saved state is " + m_saver->newestState() + "; steps after it are lost"
        : "No state was saved; the steps so far are lost";
    error.next =
        "Continue with `trainerdesk-ctl train --continue --run-dir " + m_folder.path() + "`";
    return error;
}

const char* TrainLoop::phaseWord() const
{
    switch (m_phase) {
    case Phase::Starting:
        return "starting";
    case Phase::Training:
        return m_saver && m_saver->openCount() > 0 ? "saving" : "training";
    case Phase::Paused:
        return "paused";
    case Phase::Stopping:
        return "stopping";
    case Phase::Finished:
        return "finished";
    case Phase::Failed:
        break;
    }
    return "failed";
}

std::string TrainLoop::stepName(std::int64_t step) const
{
    char name[32];
    std::snprintf(name, sizeof name, "step-%04lld", static_cast<long long>(step));
    return name;
}

ControlStatus TrainLoop::status() const
{
    ControlStatus status;
    status.state = phaseWord();
    status.runDir = m_folder.path();
    status.job = m_job;
    status.pid = ::getpid();
    status.step = m_done;
    status.totalSteps = m_total;
    if (!m_losses.empty())
        status.loss = m_losses.rbegin()->second;
    status.loraRank = m_spec.recipe.loraRank;
    if (m_saver) {
        status.newestBase = m_saver->newestSampler();
        status.busyWith = m_saver->busyWith();
    }
    return status;
}

void TrainLoop::handleControl(const ControlCommand& command, const ControlServer::Reply& reply)
{
    using Verb = ControlCommand::Verb;
    const bool canSave = m_saver && (m_phase == Phase::Training || m_phase == Phase::Paused);
    switch (command.verb) {
    case Verb::ReadStatus:
        break;
    case Verb::Pause:
        if (m_phase == Phase::Training)
            m_phase = Phase::Paused;
        break;
    case Verb::Continue:
        if (m_phase == Phase::Paused) {
            m_phase = Phase::Training;
            m_lastStepUs = m_services.clock.now().time_since_epoch().count();
            m_rateWindow.clear(); // a pause is no part of the rate
            pump();
        }
        break;
    case Verb::Stop:
        // Answered first: the process may be gone a moment later.
        reply(encodeControlStatus(status()));
        QMetaObject::invokeMethod(this, &TrainLoop::stop, Qt::QueuedConnection);
        return;
    case Verb::Save:
        if (!canSave)
            return reply(encodeControlError({ Error::Code::Refused,
                std::string("the run is ") + phaseWord() + " and cannot save now",
                "nothing was saved", "try again while it trains", {} }));
        onFinished(
            m_saver->save({ command.kind, command.name, command.ttlSeconds, m_updated, false }),
            this, [reply](const Result<ControlSaved>& saved) {
                reply(saved ? encodeControlSaved(*saved) : encodeControlError(saved.error()));
            });
        return;
    }
    reply(encodeControlStatus(status()));
}

} // namespace desk
