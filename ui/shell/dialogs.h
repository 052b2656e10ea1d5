// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

class QWidget;

namespace desk {

class AppModel;
class TrainingSheet;

// The few dialogs of the window. None blocks: they report when they are accepted.

/// Asks for a folder and opens it as a run.
void askForRunFolder(QWidget& parent, AppModel& app);
/// Asks for a text file for one of the two fields of the sheet.
void askForTrainingFile(QWidget& parent, TrainingSheet& sheet, bool isEval);
void showAbout(QWidget& parent, const AppModel& app);

} // namespace desk
