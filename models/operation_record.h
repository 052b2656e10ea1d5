// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"
#include "services/core/records.h"

#include <QList>
#include <QString>

#include <optional>

namespace desk {

/// One journal record as its page shows it. Pure values made from the operation; nothing is asked.
struct OperationRecord
{
    struct ReplicaLine
    {
        QString identity;
        QString serving;
        QString stage; ///< the server's own word
        StatusKind status = StatusKind::None;
        std::optional<double> seconds;
        QString error;
    };
    /// A stage of one replica on the common time axis, seconds since the request.
    struct Span
    {
        QString stage;
        double from = 0;
        double to = 0;
        int shade = 1; ///< 1..4, lighter to darker; equal stages have equal shades
    };
    struct Lane
    {
        QString replica;
        QList<Span> spans;
        bool isReady = false;
    };
    struct Event
    {
        QString at; ///< clock time
        QString stage;
        QString detail;
    };

    QString id;
    QString title; ///< "Hotload step-420 to math-eval"
    QString stateText; ///< "loading · 3 of 4 ready"
    StatusKind status = StatusKind::None;
    QString subtitle; ///< "sent 14:01:30 by mira · key … · journaled"
    double elapsed = 0; ///< seconds
    bool isRunning = false;
    bool isUnknown = false;
    std::optional<double> median; ///< seconds of earlier loads of the same deployment
    QList<double> earlier; ///< the last six of them
    std::optional<double> timeout; ///< seconds
    QString bandStrong; ///< a continuing condition or how it ended; empty: no band
    QString bandText;
    StatusKind bandStatus = StatusKind::None;
    QList<ReplicaLine> replicas; ///< hot loads only
    QList<Lane> lanes; ///< hot loads only
    QStringList legend; ///< stage words by shade
    QList<Event> events; ///< newest first
    RequestPreview request;
};

/// earlierLoads: seconds of finished loads of the same deployment, oldest first.
[[nodiscard]] OperationRecord recordOf(
    const Operation& operation, Time now, const QList<double>& earlierLoads);

} // namespace desk
