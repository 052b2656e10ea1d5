// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/store/profile.h"

#include <QFuture>
#include <QObject>
#include <QString>

#include <cstdint>
#include <memory>
#include <string>

namespace desk {

struct TrainRequest
{
    bool isSample = false; ///< the bundled text; else `recipe`
    std::string recipe; ///< JSON of a recipe (cli.md section 5); written into the run folder
    QString label; ///< becomes part of the run folder's name; "sample" if empty
    QString runDir; ///< empty: a new folder below the profile's runs
    QString connection; ///< name of the connection; "local" if empty
};

/// What `trainerdesk-ctl train --detach` prints.
struct TrainStarted
{
    QString runDir;
    std::string job;
    std::int64_t pid = 0;
    QString controlSocket;
};

/// Starts `trainerdesk-ctl train … --detach`. The training outlives this object and the window.
/// THREAD: the one it lives on; nothing blocks.
class TrainLauncher final : public QObject
{
    Q_OBJECT

public:
    /// `program`: path of trainerdesk-ctl; empty: beside the running program.
    explicit TrainLauncher(Profile profile, QString program = {}, QObject* parent = nullptr);
    ~TrainLauncher() override;
    Q_DISABLE_COPY_MOVE(TrainLauncher)

    /// Ends when the first step was taken, or with why there is none. The run folder exists
    /// before: runDirPrepared() names it at once, so that it can be watched from the first line.
    [[nodiscard]] QFuture<Result<TrainStarted>> start(TrainRequest request);

Q_SIGNALS:
    void runDirPrepared(const QString& runDir);

private:
    class Private;
    std::unique_ptr<Private> m_private;
};

} // namespace desk
