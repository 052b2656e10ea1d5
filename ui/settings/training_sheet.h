// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/settings/sheet_frame.h"

class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;

namespace desk {

class TrainingForm;

/// New training on the user's own text (objectName "trainingSheet").
class TrainingSheet final : public SheetFrame
{
    Q_OBJECT

public:
    explicit TrainingSheet(TrainingForm& form, QWidget* parent = nullptr);
    void begin();

Q_SIGNALS:
    /// A file is wanted for one of the fields; the window asks with a dialog that does not block.
    void fileWanted(bool isEval);

public Q_SLOTS:
    void setFile(bool isEval, const QString& path);

private:
    void makeFields();
    void makeFoot();
    QWidget* makeFileField(QLineEdit*& edit, const QString& name, bool isEval);
    QSpinBox* makeNumber(const QString& name, int minimum, int maximum);
    void read();
    void refresh();

    TrainingForm& m_form;
    QLineEdit* m_name = nullptr;
    QLineEdit* m_file = nullptr;
    QLineEdit* m_evalFile = nullptr;
    QComboBox* m_model = nullptr;
    QSpinBox* m_steps = nullptr;
    QLineEdit* m_rate = nullptr;
    QSpinBox* m_batch = nullptr;
    QSpinBox* m_evalEvery = nullptr;
    QSpinBox* m_stateEvery = nullptr;
    QSpinBox* m_samplerEvery = nullptr;
    QLabel* m_note = nullptr;
    QPushButton* m_start = nullptr;
    bool m_isFilling = false;
};

} // namespace desk
