// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/window_models.h"

#include "models/checkpoint_table_model.h"
#include "models/deployment_table_model.h"
#include "models/format.h"
#include "models/job_table_model.h"
#include "models/model_table_model.h"
#include "services/on_finished.h"
#include "services/operations/operation_center.h"

#include <algorithm>

using namespace Qt::StringLiterals;

namespace desk {

WindowModels::WindowModels(const AppServices& services, QObject* parent)
    : QObject(parent)
    , app(services)
    , review(services.operations, reviewContext())
    , verify(services.worker, services.clock, verifyContext())
    , connectionForm(app)
    , trainingForm(app)
{
    OperationCenter& center = services.operations;
    connect(&center, &OperationCenter::operationChanged, this, &WindowModels::refreshOperations);
    connect(&app, &AppModel::rowsChanged, &operations, [this] { operations.setNow(app.now()); });
    connect(&app.actions(), &ActionRegistry::reviewRequested, &review, &ReviewModel::open);
    connect(&app.actions(), &ActionRegistry::verifyRequested, &verify, &VerifyModel::verify);
    connect(&app.actions(), &ActionRegistry::reconcileRequested, this, &WindowModels::reconcile);
    connect(&verify, &VerifyModel::taskChanged, &operations, &OperationTableModel::putTask);
    connect(&verify, &VerifyModel::verified, &app,
        [this](const QString& name, const QString& word) { app.noteVerified(name, word); });
    connect(&review, &ReviewModel::committed, &app.selection(), &Selection::selectOperation);
    refreshOperations();
}

WindowModels::~WindowModels() = default;

void WindowModels::refreshOperations()
{
    operations.setOperations(app.services().operations.operations());
    operations.setNow(app.now());
}

void WindowModels::reconcile(const QString& operationId)
{
    onFinished(app.services().operations.reconcile(operationId), this,
        [this](const Result<Operation>& found) {
            if (!found)
                Q_EMIT app.problemReported(errorText(found.error()));
            else
                Q_EMIT app.noticed(operationSentence(*found) + u": "_s + operationOutcome(*found));
            refreshOperations();
        });
}

ReviewContext WindowModels::reviewContext()
{
    ReviewContext context;
    context.connection = [this] { return app.link().connection(); };
    context.deploymentsFor = [this](const QString& checkpoint) {
        QList<ReviewChoice> choices;
        const CheckpointRow* row = app.checkpoints().find(checkpoint);
        for (const DeploymentRow& deployment : app.deployments().rows()) {
            if (!deployment.enablesHotLoad)
                continue;
            const ReviewChoice choice { deployment.name, format::lastSegment(deployment.name) };
            if (row != nullptr && deployment.trainerJob == row->job)
                choices.prepend(choice);
            else
                choices.append(choice);
        }
        return choices;
    };
    context.jobsFor = [this](const QString& preferred) {
        QList<ReviewChoice> choices;
        for (const JobRow& job : app.jobs().rows()) {
            if (!job.isOnServer)
                continue;
            const ReviewChoice choice { job.id, job.name };
            if (job.id == preferred)
                choices.prepend(choice);
            else
                choices.append(choice);
        }
        return choices;
    };
    context.baseModelOf = [this](const QString& job) {
        const JobRow* row = app.jobs().find(job);
        if (row != nullptr)
            return row->baseModel;
        // Without a job a deployment serves a base model of the account.
        for (const ModelRow& model : app.models().rows()) {
            if (model.promotedFrom.isEmpty())
                return model.name;
        }
        return QString();
    };
    context.titleOf = [this](const QString& job) {
        const JobRow* row = app.jobs().find(job);
        return row != nullptr ? row->name : format::lastSegment(job);
    };
    context.stepOf = [this](const QString& job) -> std::optional<std::int64_t> {
        const JobRow* row = app.jobs().find(job);
        return row != nullptr ? row->step : std::nullopt;
    };
    return context;
}

VerifyContext WindowModels::verifyContext()
{
    VerifyContext context;
    context.checkpoint = [this](const QString& name) -> std::optional<CheckpointRow> {
        const CheckpointRow* row = app.checkpoints().find(name);
        return row != nullptr ? std::optional(*row) : std::nullopt;
    };
    context.modelFolder = [this](const QString& id) {
        for (const ModelRow& row : app.models().rows()) {
            if (row.id == id)
                return row.path;
        }
        return QString();
    };
    return context;
}

} // namespace desk
