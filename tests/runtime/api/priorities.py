"""Priority objects for the API's tests, as LangGraph users write them. `seen` keeps what they were asked."""

from typing import Any

from langgraph_sdk import Auth, Priority, PriorityContext, PrioritySettings

seen: list[PriorityContext] = []

by_plan = Priority()


@by_plan.assign
async def assign(ctx: PriorityContext) -> PrioritySettings | None:
    seen.append(ctx)
    plan = ctx.run_metadata.get("plan")
    answers: dict[Any, Any] = {
        "premium": {"priority": -3, "fairness_group": "org-1"},
        "batch": {"priority": 4, "fairness_group": "org-2"},
        "huge": {"priority": 9},
        "long": {"fairness_group": "x" * 257},
        "list": [1],
        "odd": {"prio": 1},
    }
    if plan == "broken":
        raise RuntimeError("no such plan")
    if plan == "refused":
        raise Auth.exceptions.HTTPException(status_code=402, detail="pay first")
    if ctx.cron_id is not None:
        return {"priority": 2}
    return answers.get(plan)


empty = Priority()
