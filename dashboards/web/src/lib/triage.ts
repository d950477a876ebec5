/** Which triage questions apply, given the answers so far. Scores stay on the server; screens only ask. */
import type { Question } from "./types";

export function asked(questions: readonly Question[], answers: Record<string, string>): Question[] {
  return questions.filter((q) => !q.when_question || (q.when_answers ?? []).includes(answers[q.when_question] ?? ""));
}

export function adviceFor(
  questions: readonly Question[],
  answers: Record<string, string>,
  language: "id" | "en",
): string[] {
  return questions
    .map((q) => q.answers.find((a) => a.code === answers[q.code]))
    .map((a) => (language === "en" ? a?.advice_en : a?.advice_id) ?? "")
    .filter(Boolean);
}
