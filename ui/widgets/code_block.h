// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QFrame>

class QTextEdit;

namespace desk {

/// Read-only code in a rounded frame: the exact request, JSON. Strings and the verb are colored;
/// colors follow the theme.
class CodeBlock final : public QFrame
{
    Q_OBJECT

public:
    explicit CodeBlock(const QString& accessibleName, QWidget* parent = nullptr);
    void setCode(const QString& code);
    [[nodiscard]] QString code() const;
    void setFitsLines(bool fits, int maxLines = 24); ///< as high as its text

protected:
    void paintEvent(QPaintEvent* event) override;
    void changeEvent(QEvent* event) override;

private:
    void highlight();
    void fit();

    QTextEdit* m_edit = nullptr;
    int m_maxLines = 0;
};

} // namespace desk
