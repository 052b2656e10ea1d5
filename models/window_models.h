// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/app_model.h"
#include "models/connection_form.h"
#include "models/operation_table_model.h"
#include "models/review_model.h"
#include "models/training_form.h"
#include "models/verify_model.h"

#include <QObject>

namespace desk {

/// The screen models of one window, wired to each other: actions open the review or start a
/// verification, the journal fills the operations table, verdicts return to the checkpoint rows.
/// THREAD: GUI. The services must outlive it.
class WindowModels final : public QObject
{
    Q_OBJECT
public:
    explicit WindowModels(const AppServices& services, QObject* parent = nullptr);
    ~WindowModels() override;
    Q_DISABLE_COPY_MOVE(WindowModels)

    AppModel app;
    OperationTableModel operations;
    ReviewModel review;
    VerifyModel verify;
    ConnectionForm connectionForm;
    TrainingForm trainingForm;

    void reconcile(const QString& operationId);

private:
    void refreshOperations();
    [[nodiscard]] ReviewContext reviewContext();
    [[nodiscard]] VerifyContext verifyContext();
};

} // namespace desk
