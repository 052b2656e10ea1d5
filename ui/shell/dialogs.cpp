// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/dialogs.h"

#include "models/app_model.h"
#include "ui/settings/training_sheet.h"

#include <QApplication>
#include <QFileDialog>
#include <QMessageBox>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString dialogTr(const char* text)
    {
        return QCoreApplication::translate("desk::Dialogs", text);
    }

    QFileDialog* makeFileDialog(QWidget& parent, const QString& objectName, const QString& title)
    {
        auto* dialog = new QFileDialog(&parent, title);
        dialog->setObjectName(objectName);
        dialog->setAttribute(Qt::WA_DeleteOnClose);
        return dialog;
    }

} // namespace

void askForRunFolder(QWidget& parent, AppModel& app)
{
    auto* dialog = makeFileDialog(parent, u"openRunDialog"_s, dialogTr("Open a run folder"));
    dialog->setFileMode(QFileDialog::Directory);
    dialog->setOption(QFileDialog::ShowDirsOnly);
    QObject::connect(dialog, &QFileDialog::fileSelected, &app, &AppModel::openRunFolder);
    dialog->open();
}

void askForTrainingFile(QWidget& parent, TrainingSheet& sheet, bool isEval)
{
    auto* dialog = makeFileDialog(parent, u"trainingFileDialog"_s, dialogTr("Text to train on"));
    dialog->setFileMode(QFileDialog::ExistingFile);
    dialog->setNameFilters(
        { dialogTr("Text and JSON Lines (*.txt *.md *.jsonl)"), dialogTr("All files (*)") });
    QObject::connect(dialog, &QFileDialog::fileSelected, &sheet,
        [&sheet, isEval](const QString& path) { sheet.setFile(isEval, path); });
    dialog->open();
}

void showAbout(QWidget& parent, const AppModel& app)
{
    auto* box = new QMessageBox(QMessageBox::NoIcon, dialogTr("About Trainer Desk"),
        dialogTr("Trainer Desk %1\n\nFollow, act on and prove language-model training runs.\n"
                 "GPL-3.0-or-later. Computes with: %2.")
            .arg(QApplication::applicationVersion(), app.deviceText()),
        QMessageBox::Close, &parent);
    box->setObjectName(u"aboutBox"_s);
    box->setAttribute(Qt::WA_DeleteOnClose);
    box->open();
}

} // namespace desk
