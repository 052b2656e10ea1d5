// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/request_text.h"

#include <QWidget>

class QLineEdit;
class QPushButton;
class QTabBar;
class QVBoxLayout;

namespace desk {

class CodeBlock;
class Pill;
class ReviewForm;
class ReviewModel;
class SectionHeader;
class SpanLabel;
class TableView;

/// The docked review of one operation (objectName "reviewSheet"): what, preflight, parameters,
/// effect, exact request, commit. The window shows and hides it with the model's opened() and
/// closed(). Esc closes; the commit button says what it will make.
class ReviewSheet final : public QWidget
{
    Q_OBJECT
public:
    /// The model must outlive the sheet.
    explicit ReviewSheet(ReviewModel& model, QWidget* parent = nullptr);

    [[nodiscard]] QSize sizeHint() const override;

protected:
    void keyPressEvent(QKeyEvent* event) override;

private:
    QWidget* makeHeader();
    QWidget* makeBody();
    QWidget* makeFooter();
    void makeRequest(QVBoxLayout* column);
    void onOpened();
    void refresh();
    void fitPreflight();
    void refreshRequest();
    void copyRequest();

    ReviewModel& m_model;
    SpanLabel* m_title = nullptr;
    Pill* m_tier = nullptr;
    SpanLabel* m_sentence = nullptr;
    SectionHeader* m_preflightHeader = nullptr;
    TableView* m_preflight = nullptr;
    SpanLabel* m_error = nullptr;
    QVBoxLayout* m_formPlace = nullptr;
    ReviewForm* m_form = nullptr;
    TableView* m_effect = nullptr;
    QTabBar* m_requestForm = nullptr;
    CodeBlock* m_request = nullptr;
    QLineEdit* m_typed = nullptr;
    SpanLabel* m_note = nullptr;
    QPushButton* m_cancel = nullptr;
    QPushButton* m_commit = nullptr;
};

} // namespace desk
