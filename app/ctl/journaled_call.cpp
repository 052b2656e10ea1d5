// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/journaled_call.h"

#include "app/ctl/ctl.h"
#include "app/ctl/verbs.h"

#include <QRandomGenerator>
#include <QUuid>

namespace desk {
namespace {

    void note(Operation& operation, OperationState state, const char* stage, Time at)
    {
        operation.state = state;
        operation.stage = stage;
        operation.updated = at;
        operation.stages.push_back({ stage, at, {} });
    }

    void conclude(Ctl& ctl, Operation operation, const Result<std::string>& result)
    {
        if (result) {
            note(operation, OperationState::Succeeded, "succeeded", ctl.clock().now());
            operation.result = *result;
        } else {
            const Error& error = result.error();
            const bool isLost = error.code == Error::Code::Unknown;
            note(operation, isLost ? OperationState::Unknown : OperationState::Failed,
                isLost ? "unknown" : "failed", ctl.clock().now());
            operation.errorCode = toString(error.code);
            operation.errorMessage = error.message;
            operation.errorUnchanged = error.unchanged;
            operation.errorNext = error.next;
        }
        onFinished(ctl.journal().append(operation), &ctl, [&ctl, operation](const Status& written) {
            if (!written)
                ctl.warn(
                    "the end of the operation could not be journaled: " + written.error().message);
            endWithOperation(ctl, operation);
        });
    }

} // namespace

std::string newTrainerJobId()
{
    const QString digits = QString::number(QRandomGenerator::system()->generate(), 16);
    return "training-api-service-" + digits.rightJustified(8, u'0').toStdString();
}

void runJournaled(Ctl& ctl, JournaledCall call)
{
    Operation operation;
    operation.id = QUuid::createUuid().toString(QUuid::WithoutBraces).toStdString();
    operation.key = QUuid::createUuid().toString(QUuid::WithoutBraces).toStdString();
    operation.kind = call.kind;
    operation.connection = ctl.connection().name;
    operation.target = call.target;
    operation.parameters = call.parameters;
    operation.request = call.request;
    operation.by = "ctl";
    operation.created = ctl.clock().now();
    note(operation, OperationState::Sent, "sent", operation.created);
    ctl.then(ctl.journal().insert(operation),
        [&ctl, operation, send = std::move(call.send)](std::monostate) {
            send([&ctl, operation](
                     const Result<std::string>& result) { conclude(ctl, operation, result); });
        });
}

} // namespace desk
