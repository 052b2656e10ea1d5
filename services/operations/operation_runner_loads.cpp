// SPDX-License-Identifier: GPL-3.0-or-later
// Hot loads, one or a chain of them, and the watch over the replicas.
#include "services/codecs/journal_codec.h"
#include "services/core/resource_name.h"
#include "services/gateway/deployment_manager.h"
#include "services/on_finished.h"
#include "services/operations/operation_runner.h"

#include <QPointer>

#include <algorithm>
#include <utility>

namespace desk {
namespace {

    constexpr std::int64_t kDefaultTimeoutSeconds = 600;
    constexpr qint64 kTellSilenceMs = 3000;

    std::vector<std::string> splitList(const std::string& text)
    {
        std::vector<std::string> words;
        std::size_t begin = 0;
        while (begin < text.size()) {
            const auto comma = std::min(text.find(',', begin), text.size());
            words.push_back(text.substr(begin, comma - begin));
            begin = comma + 1;
        }
        return words;
    }

} // namespace

void OperationRunner::hotload()
{
    const auto request = decodeHotload(m_operation.request.body);
    if (!request)
        return fail(request.error());
    post(*request, [this] {
        accepted("the deployment has taken the request");
        if (!wantsWait())
            return end({ OperationState::Accepted, {}, std::nullopt, {} });
        waitForReplicas(identityOf(m_operation), [this] { loaded(); });
    });
}

/// The base, then each delta onto what the replicas have confirmed.
void OperationRunner::previous()
{
    const auto chain = splitList(text("chain"));
    const auto request = decodeHotload(m_operation.request.body);
    if (chain.empty() || !request)
        return fail({ Error::Code::Usage, "There is nothing to load", "Nothing was sent", {}, {} });
    loadChain(chain, 0, *request);
}

void OperationRunner::loadChain(
    const std::vector<std::string>& chain, std::size_t at, HotloadRequest request)
{
    request.identity = chain[at];
    request.incremental.reset();
    if (at > 0) {
        request.incremental = IncrementalSnapshot {};
        request.incremental->previousIdentity = chain[at - 1];
    }
    post(request, [this, chain, at, request] {
        if (!m_isAccepted)
            accepted("the deployment has taken the request");
        waitForReplicas(chain[at], [this, chain, at, request] {
            if (at + 1 == chain.size())
                return loaded();
            m_reports.stage("running",
                chain[at] + " is loaded, " + std::to_string(at + 1) + " of "
                    + std::to_string(chain.size()));
            m_replicas.clear();
            loadChain(chain, at + 1, request);
        });
    });
}

void OperationRunner::post(const HotloadRequest& request, std::function<void()> taken)
{
    HotloadParameters parameters;
    parameters.deployment = m_operation.target;
    parameters.baseModel = hotloadModel();
    parameters.request = request;
    const bool asksForReset = !std::holds_alternative<std::monostate>(request.resetPromptCache);
    onFinished(m_services.deployments->hotload(parameters), this,
        [this, asksForReset, taken = std::move(taken)](const Status& posted) {
            if (!posted)
                return fail(posted.error());
            if (asksForReset && !m_services.deployments->sendsResetPromptCache())
                m_reports.stage("running",
                    "sent without reset_prompt_cache, which the server does not know; cache not "
                    "reset: answers may mix old and new weights");
            taken();
        });
}

std::string OperationRunner::hotloadModel() const
{
    const auto& headers = m_operation.request.headers;
    const auto model = headers.find(std::string(kHotloadModelHeader));
    return model == headers.end() ? std::string {} : model->second;
}

void OperationRunner::loaded()
{
    const std::chrono::duration<double> seconds = SystemClock().now() - m_sentAt;
    succeed(encodeHotloadOutcome(identityOf(m_operation), m_replicas, seconds.count()));
}

void OperationRunner::waitForReplicas(const std::string& identity, std::function<void()> then)
{
    listen();
    const std::chrono::seconds timeout { seconds("timeout_seconds", kDefaultTimeoutSeconds) };
    const auto progress = [self = QPointer<OperationRunner>(this), identity](
                              const HotloadProgress& now) {
        if (self)
            self->noteReplicas(now, identity);
    };
    onFinished(m_services.deployments->waitForHotload(
                   m_operation.target, hotloadModel(), identity, timeout, progress),
        this, [this, then = std::move(then)](const Result<std::vector<Replica>>& replicas) {
            if (!replicas)
                return fail(replicas.error());
            m_replicas = *replicas;
            then();
        });
}

void OperationRunner::noteReplicas(const HotloadProgress& progress, const std::string& identity)
{
    heard();
    const auto phaseOf = [&](const Replica& replica) -> std::string {
        if (servesSnapshot(replica, identity))
            return "ready";
        // Still at rest on what it served before.
        if (replica.stage == "ready" || replica.stage == "done" || replica.stage == "idle")
            return "waiting";
        return replica.stage.empty() ? "unknown" : replica.stage;
    };
    for (const auto& replica : progress.replicas) {
        const auto before = std::find_if(m_replicas.begin(), m_replicas.end(),
            [&](const Replica& other) { return other.identity == replica.identity; });
        const auto phase = phaseOf(replica);
        if (before == m_replicas.end() || phaseOf(*before) != phase)
            m_reports.stage(phase, replica.identity);
    }
    m_replicas = progress.replicas;
    const bool isMixed = progress.isSettled && !progress.failure.empty() && progress.readyCount > 0;
    m_reports.replicas(m_replicas, isMixed ? progress.summary : readySummary(m_replicas, identity));
}

void OperationRunner::listen()
{
    m_sinceAnswer.start();
    if (m_silence.isActive())
        return;
    connect(&m_silence, &QTimer::timeout, this, &OperationRunner::checkSilence);
    m_silence.start(static_cast<int>(std::min<qint64>(1000, m_silenceLimitMs / 4)));
}

void OperationRunner::heard()
{
    m_sinceAnswer.start();
    m_isSilenceTold = false;
}

void OperationRunner::checkSilence()
{
    const auto quiet = m_sinceAnswer.elapsed();
    if (quiet > std::min(kTellSilenceMs, m_silenceLimitMs / 2)
        && !std::exchange(m_isSilenceTold, true))
        m_reports.stage("no answer", "the server does not answer; still trying");
    if (quiet > m_silenceLimitMs)
        fail({ Error::Code::Unknown,
            "The server took the request, then did not answer for "
                + std::to_string(m_silenceLimitMs / 1000) + " s",
            {}, {}, {} });
}

} // namespace desk
