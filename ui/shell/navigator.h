// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/selection.h"

#include <QListView>

class QStandardItemModel;

namespace desk {

/// Pages with their counts (objectName "navigator"); icons alone when folded.
class Navigator final : public QListView
{
    Q_OBJECT

public:
    explicit Navigator(QWidget* parent = nullptr);

    void setPage(DeskPage page); ///< Verify selects none
    /// A negative count reads as "–": not known.
    void setCount(DeskPage page, int count);
    void setFolded(bool isFolded);
    [[nodiscard]] bool isFolded() const noexcept { return m_isFolded; }
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

Q_SIGNALS:
    void pageChosen(desk::DeskPage page);

private:
    QStandardItemModel* m_model;
    bool m_isFolded = false;
};

} // namespace desk
