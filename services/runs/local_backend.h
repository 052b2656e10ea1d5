// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/connection.h"
#include "services/core/result.h"
#include "services/store/profile.h"

#include <QFuture>
#include <QObject>
#include <QString>
#include <QStringList>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace desk {

/// The local backend of a profile, as its ready line describes it (cli.md section 4).
struct LocalBackendInfo
{
    QString url;
    std::string account;
    QString keyFile;
    std::string baseModel;
    std::int64_t pid = 0;
    std::string version;
    bool wasStarted = false; ///< by this object; otherwise it was running already
};

/// Starts or joins the `trainerdesk-local` of a profile. The process is detached: it outlives the
/// window, because a training run may be using it.
/// THREAD: the one it lives on; nothing blocks.
class LocalBackend final : public QObject
{
    Q_OBJECT

public:
    enum class State
    {
        Stopped,
        Starting,
        Serving,
        Failed
    };
    Q_ENUM(State)

    /// `program`: path of trainerdesk-local; empty: beside the running program.
    /// `arguments`: further ones, such as --threads or --faults.
    explicit LocalBackend(Profile profile, QString program = {}, QStringList arguments = {},
        QObject* parent = nullptr);
    ~LocalBackend() override; ///< leaves the process running
    Q_DISABLE_COPY_MOVE(LocalBackend)

    /// Joins the backend that ready.json names if it answers with the profile's key, else starts
    /// one and waits for its ready line (at most 30 s). Errors carry the end of its stderr.
    /// Concurrent calls share one start.
    [[nodiscard]] QFuture<Result<LocalBackendInfo>> start();
    [[nodiscard]] State state() const;
    [[nodiscard]] std::optional<LocalBackendInfo> info() const;
    /// The connection "local" for info(); safety level 0. REQUIRES: info().
    [[nodiscard]] Connection connection() const;

    /// Stops the process unless a run of the profile uses it. true: it is gone; false: left
    /// running because a control socket of a run answers.
    [[nodiscard]] QFuture<Result<bool>> stopIfIdle();

Q_SIGNALS:
    void stateChanged(desk::LocalBackend::State state);

private:
    class Private;
    std::unique_ptr<Private> m_private;
};

} // namespace desk
