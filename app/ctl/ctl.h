// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "app/ctl/options.h"
#include "services/core/clock.h"
#include "services/core/connection.h"
#include "services/core/records.h"
#include "services/core/result.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/trainer_job_manager.h"
#include "services/http/http_client.h"
#include "services/on_finished.h"
#include "services/operations/operation_center.h"
#include "services/runs/local_backend.h"
#include "services/runs/run_facts.h"
#include "services/secrets/key_store.h"
#include "services/store/journal.h"
#include "services/store/profile.h"
#include "services/store/settings.h"

#include <QObject>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace desk {

/// One invocation of trainerdesk-ctl: what its verbs stand on, and how it prints and ends.
/// THREAD: main. A verb starts futures and returns; ended() comes once.
class Ctl final : public QObject
{
    Q_OBJECT
public:
    using Next = std::function<void()>;

    explicit Ctl(CtlOptions options, QObject* parent = nullptr);
    ~Ctl() override;
    Q_DISABLE_COPY_MOVE(Ctl)

    /// Runs the verb of the options.
    void start();
    /// SIGINT or SIGTERM: cancels, or lets a training stop in order.
    void interrupt();
    /// What interrupt() does instead of ending at once.
    Next onInterrupt;

    [[nodiscard]] const CtlOptions& options() const { return m_options; }
    [[nodiscard]] const Clock& clock() const { return m_clock; }
    [[nodiscard]] const Profile& profile() const { return m_profile; }
    [[nodiscard]] Settings& settings() { return *m_settings; }
    [[nodiscard]] KeyStore& keys() { return m_keys; }

    /// Finds the connection, its key and its account, then goes on.
    void withConnection(Next next);
    /// The same for another connection than the chosen one; errors are handed over.
    void connectTo(const std::string& name, std::function<void(Status)> next);
    /// withConnection(), and the journal is open.
    void withOperations(Next next);
    /// The journal without a connection: lists, and what needs none.
    void withJournal(Next next);

    // REQUIRES withConnection().
    [[nodiscard]] const Connection& connection() const { return m_services.connection; }
    [[nodiscard]] HttpClient& http() { return *m_http; }
    [[nodiscard]] FireworksClient& client() { return *m_services.client; }
    [[nodiscard]] TrainerJobManager& jobs() { return *m_services.jobs; }
    [[nodiscard]] DeploymentManager& deployments() { return *m_services.deployments; }
    [[nodiscard]] const std::optional<LocalBackendInfo>& localBackend() const { return m_local; }
    [[nodiscard]] std::string fullJobName(const std::string& nameOrId) const;
    [[nodiscard]] std::string fullModelName(const std::string& nameOrId) const;
    [[nodiscard]] std::string fullDeploymentName(const std::string& nameOrId) const;
    enum class Wanted
    {
        Any,
        Sampler ///< something that can be served; a train state of the same name is passed over
    };
    /// A checkpoint by its four-segment name, or by JOB/short-name, with or without the session
    /// suffix. NotFound, or Usage when several fit.
    void resolveCheckpoint(const std::string& name, Wanted wanted,
        std::function<void(const Checkpoint& checkpoint)> next);

    // REQUIRES withOperations() or withJournal().
    [[nodiscard]] OperationCenter& center() { return *m_center; }
    [[nodiscard]] Journal& journal() { return *m_journal; }

    /// The newest run of this profile that trains a job; reads its folder.
    [[nodiscard]] std::optional<RunFacts> runOfJob(const std::string& job) const;

    /// handle(T) when it succeeds; else the invocation fails.
    template <class T, class Handler>
    void then(const QFuture<Result<T>>& future, Handler handle)
    {
        onFinished(future, this, [this, handle = std::move(handle)](Result<T> result) mutable {
            if (result)
                handle(*std::move(result));
            else
                fail(result.error());
        });
    }

    void warn(std::string warning);
    void note(const std::string& line); ///< progress, on stderr
    /// Prints one or the other, and ends.
    void succeed(const std::string& json, const std::string& text, int exitCode = 0);
    void fail(const Error& error, std::optional<int> exitCode = {});

Q_SIGNALS:
    void ended(int exitCode);

private:
    [[nodiscard]] Result<std::string> chosenConnection() const;
    void connectLocal(std::function<void(Result<ConnectionServices>)> next);
    void connectNamed(
        const std::string& name, std::function<void(Result<ConnectionServices>)> next);
    void openServices(const Connection& connection, const QByteArray& key,
        std::function<void(Result<ConnectionServices>)> next);
    [[nodiscard]] Result<QByteArray> givenKey();
    [[nodiscard]] std::vector<std::string> runFolders() const;
    void end(int exitCode);

    CtlOptions m_options;
    SystemClock m_clock;
    Profile m_profile;
    std::unique_ptr<Settings> m_settings;
    KeyStore m_keys;
    std::unique_ptr<LocalBackend> m_backend;
    std::optional<LocalBackendInfo> m_local;
    std::vector<std::unique_ptr<HttpClient>> m_https;
    HttpClient* m_http = nullptr;
    ConnectionServices m_services;
    std::map<std::string, ConnectionServices> m_open;
    std::unique_ptr<Journal> m_journal;
    std::unique_ptr<OperationCenter> m_center;
    std::vector<std::string> m_warnings;
    bool m_hasEnded = false;
};

/// cli.md section 2.
[[nodiscard]] int exitCodeFor(Error::Code code) noexcept;

} // namespace desk
