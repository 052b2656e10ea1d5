// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/control_codec.h"
#include "services/core/result.h"

#include <QFuture>
#include <QObject>
#include <QString>

namespace desk {

/// Talks to a training run through the control socket in its folder: one text line in, one JSON
/// line out, one connection per command (cli.md section 5).
/// Errors: Unreachable when nothing listens (certainly no effect); Unknown when the command was
/// sent and no whole reply came in time; the run's own error otherwise. A reply is at most 1 MiB.
/// THREAD: the one it lives on; nothing blocks.
class ControlSocket final : public QObject
{
    Q_OBJECT

public:
    static constexpr int kStatusTimeoutMs = 3000;
    static constexpr int kSaveTimeoutMs = 600000;

    explicit ControlSocket(QObject* parent = nullptr);
    ~ControlSocket() override; ///< futures that are still open end as canceled
    Q_DISABLE_COPY_MOVE(ControlSocket)

    [[nodiscard]] QFuture<Result<ControlStatus>> status(
        const QString& socket, int timeoutMs = kStatusTimeoutMs);
    /// `kind` is state, base or delta. `ttlSeconds` 0: the run's own rule.
    [[nodiscard]] QFuture<Result<ControlSaved>> save(const QString& socket, const std::string& kind,
        const std::string& name, std::int64_t ttlSeconds, int timeoutMs = kSaveTimeoutMs);
    [[nodiscard]] QFuture<Result<ControlStatus>> pause(const QString& socket);
    [[nodiscard]] QFuture<Result<ControlStatus>> resume(const QString& socket);
    [[nodiscard]] QFuture<Result<ControlStatus>> stop(const QString& socket);
    /// One line, without its end; the reply line as it came.
    [[nodiscard]] QFuture<Result<QByteArray>> command(
        const QString& socket, const QByteArray& line, int timeoutMs);
};

} // namespace desk
