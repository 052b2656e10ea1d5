// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/settings/sheet_frame.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;

namespace desk {

class Band;
class ConnectionForm;

/// Adds or changes a connection: address, account, key, safety level; a test with its time
/// (objectName "connectionSheet").
class ConnectionSheet final : public SheetFrame
{
    Q_OBJECT

public:
    explicit ConnectionSheet(ConnectionForm& form, QWidget* parent = nullptr);
    void begin(); ///< fields from the form, focus in the first

private:
    void makeFields();
    void makeFoot();
    void read();
    void refresh();

    ConnectionForm& m_form;
    QLineEdit* m_name = nullptr;
    QLineEdit* m_url = nullptr;
    QLineEdit* m_account = nullptr;
    QLineEdit* m_key = nullptr;
    QCheckBox* m_keepKey = nullptr;
    QComboBox* m_safety = nullptr;
    QLineEdit* m_caFile = nullptr;
    Band* m_result = nullptr;
    QLabel* m_note = nullptr;
    QPushButton* m_test = nullptr;
    QPushButton* m_remove = nullptr;
    QPushButton* m_save = nullptr;
    bool m_isFilling = false;
};

} // namespace desk
