// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/operation_record.h"

#include "models/format.h"
#include "models/operation_table_model.h"

#include <QCoreApplication>
#include <QHash>

#include <algorithm>
#include <charconv>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    constexpr int kShownLoads = 6;
    constexpr double kDefaultTimeout = 600; // WeightSyncer's hotload_timeout

    QString recordText(const char* text)
    {
        return QCoreApplication::translate("OperationRecord", text);
    }

    QString wanted(const Operation& operation)
    {
        return format::lastSegment(format::fromUtf8(operation.subject));
    }

    bool servesWanted(const Operation& operation, const Replica& replica)
    {
        return replica.isReady && format::fromUtf8(replica.currentSnapshot) == wanted(operation);
    }

    int readyCount(const Operation& operation)
    {
        return int(std::count_if(operation.replicas.begin(), operation.replicas.end(),
            [&](const Replica& replica) { return servesWanted(operation, replica); }));
    }

    StatusKind recordStatus(OperationState state)
    {
        switch (state) {
        case OperationState::Succeeded:
            return StatusKind::Good;
        case OperationState::Failed:
            return StatusKind::Failed;
        case OperationState::Unknown:
            return StatusKind::Unknown;
        case OperationState::Cancelled:
            return StatusKind::Off;
        case OperationState::Draft:
        case OperationState::Held:
        case OperationState::Checking:
            return StatusKind::Waiting;
        case OperationState::Sent:
        case OperationState::Accepted:
        case OperationState::Running:
            return StatusKind::Running;
        }
        return StatusKind::None;
    }

    QString recordTarget(const Operation& operation)
    {
        const auto parameter = [&](const char* key) {
            const auto entry = operation.parameters.find(key);
            return entry == operation.parameters.end() ? QString()
                                                       : format::fromUtf8(entry->second);
        };
        if (operation.kind == OperationKind::Promote)
            return parameter("model_id");
        if (operation.kind == OperationKind::Create)
            return parameter("name");
        return format::lastSegment(format::fromUtf8(operation.target));
    }

    void addReplicas(OperationRecord& record, const Operation& operation)
    {
        for (const auto& replica : operation.replicas) {
            const bool isReady = servesWanted(operation, replica);
            const bool isError = replica.stage == "error" && !replica.error.empty();
            record.replicas.append({ format::fromUtf8(replica.identity),
                replica.currentSnapshot.empty() ? format::unknown()
                                                : format::fromUtf8(replica.currentSnapshot),
                format::fromUtf8(replica.stage),
                isReady       ? StatusKind::Good
                    : isError ? StatusKind::Failed
                              : StatusKind::Busy,
                replica.seconds, format::fromUtf8(replica.error) });
        }
    }

    /// The journal holds "this replica is now in that stage" with its time: a lane is what lies
    /// between two such events of one replica.
    void addLanes(OperationRecord& record, const Operation& operation, Time until)
    {
        QHash<QString, int> shadeOf;
        for (const auto& replica : operation.replicas) {
            OperationRecord::Lane lane;
            lane.replica = format::fromUtf8(replica.identity);
            lane.isReady = servesWanted(operation, replica);
            for (const auto& stage : operation.stages) {
                if (stage.detail != replica.identity)
                    continue;
                const double at = secondsBetween(operation.created, stage.at);
                if (!lane.spans.isEmpty())
                    lane.spans.last().to = at;
                if (stage.stage == "ready")
                    break;
                const QString word = format::fromUtf8(stage.stage);
                if (!shadeOf.contains(word)) {
                    shadeOf.insert(word, int(shadeOf.size()) % 4 + 1);
                    record.legend << word;
                }
                lane.spans.append(
                    { word, at, secondsBetween(operation.created, until), shadeOf.value(word) });
            }
            record.lanes.append(lane);
        }
    }

    void addBand(OperationRecord& record, const Operation& operation)
    {
        if (!operation.errorMessage.empty() || operation.state == OperationState::Failed
            || operation.state == OperationState::Unknown) {
            record.bandStatus = operation.state == OperationState::Unknown ? StatusKind::Attention
                                                                           : StatusKind::Failed;
            record.bandStrong = operation.state == OperationState::Unknown
                ? recordText("The result is unknown.")
                : recordText("It failed.");
            record.bandText = operationOutcome(operation);
            return;
        }
        const int total = int(operation.replicas.size());
        const int ready = readyCount(operation);
        if (record.isRunning && total > 1 && ready > 0 && ready < total) {
            record.bandStatus = StatusKind::Attention;
            record.bandStrong = recordText("Mixed versions until %1 of %1.").arg(total);
            record.bandText =
                recordText("An answer may come from the old snapshot or from %1 meanwhile.")
                    .arg(wanted(operation));
        }
    }

} // namespace

OperationRecord recordOf(const Operation& operation, Time now, const QList<double>& earlierLoads)
{
    OperationRecord record;
    record.id = format::fromUtf8(operation.id);
    record.isUnknown = operation.state == OperationState::Unknown;
    record.isRunning = !isFinal(operation.state) && !record.isUnknown;
    record.status = recordStatus(operation.state);
    record.title = operation.kind == OperationKind::Save
        ? operationSentence(operation)
        : recordText("%1 to %2").arg(operationSentence(operation), recordTarget(operation));
    const bool isLoad = operation.kind == OperationKind::Hotload;
    record.stateText = operationWord(operation);
    if (isLoad && !operation.replicas.empty())
        record.stateText += recordText(" · %1 of %2 ready")
                                .arg(readyCount(operation))
                                .arg(operation.replicas.size());
    record.subtitle = recordText("sent %1 by %2 · key %3 · journaled before it was sent")
                          .arg(format::clockTime(operation.created), format::fromUtf8(operation.by),
                              format::fromUtf8(operation.key));
    const Time until = record.isRunning ? now : operation.updated;
    record.elapsed = qMax(0.0, secondsBetween(operation.created, until));
    record.request = operation.request;
    if (isLoad) {
        record.earlier = earlierLoads.mid(qMax<qsizetype>(0, earlierLoads.size() - kShownLoads));
        record.median = medianOf(record.earlier);
        const auto limit = operation.parameters.find("timeout_seconds");
        double seconds = kDefaultTimeout;
        if (limit != operation.parameters.end())
            std::from_chars(
                limit->second.data(), limit->second.data() + limit->second.size(), seconds);
        record.timeout = seconds;
        addReplicas(record, operation);
        addLanes(record, operation, until);
    }
    addBand(record, operation);
    for (auto stage = operation.stages.rbegin(); stage != operation.stages.rend(); ++stage)
        record.events.append({ format::clockTime(stage->at), format::fromUtf8(stage->stage),
            format::fromUtf8(stage->detail) });
    return record;
}

} // namespace desk
