# SPDX-License-Identifier: Apache-2.0
"""What KEDA and the Kubernetes HPA make of a metric: how many replicas there are to be, from one look to the next. Pure: the time
and the metric are arguments.

KEDA looks each pollingInterval: it alone goes 0 -> 1 (the metric is above the activation target) and to 0 (nothing was active for
cooldownPeriod). In between the HPA decides each SYNC_S, from the metric per replica (AverageValue):
    ceil(metric / target), unless metric / (target x replicas) is within a tenth of 1;
going down, the highest of what it wanted within the window counts; each step is bounded by the policies."""
import math
from dataclasses import dataclass, field, replace

SYNC_S = 15  # the HPA's own; --horizontal-pod-autoscaler-sync-period
TOLERANCE = 0.1
DEFAULT_UP = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15},
                                                            {"type": "Pods", "value": 4, "periodSeconds": 15}]}
DEFAULT_DOWN = {"stabilizationWindowSeconds": 300, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


@dataclass(frozen=True)
class Rules:
    window_s: float
    policies: tuple  # (type, value, period in s)
    select: str = "Max"

    @classmethod
    def of(cls, document, default):
        document = {**default, **(document or {})}
        policies = tuple((p["type"], p["value"], p["periodSeconds"]) for p in document["policies"])
        return cls(document["stabilizationWindowSeconds"], policies, document.get("selectPolicy", "Max"))

    def faster(self, factor):
        return replace(self, window_s=self.window_s / factor,
                       policies=tuple((kind, value, period / factor) for kind, value, period in self.policies))


@dataclass(frozen=True)
class Spec:
    """A ScaledObject with one trigger."""

    target: float
    activation: float = 0
    polling_s: float = 30
    cooldown_s: float = 300
    least: int = 0
    most: int = 100
    failures: int = 0  # of the fallback; 0: there is none
    fallback: int = 0
    fallback_behavior: str = "static"
    up: Rules = field(default_factory=lambda: Rules.of(None, DEFAULT_UP))
    down: Rules = field(default_factory=lambda: Rules.of(None, DEFAULT_DOWN))
    sync_s: float = SYNC_S

    @classmethod
    def of(cls, document):
        """From the manifest's spec."""
        [trigger] = document["triggers"]
        said = trigger["metadata"]
        target = said.get("targetValue", said.get("threshold"))
        activation = said.get("activationTargetValue", said.get("activationThreshold", 0))
        behavior = document.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
        fallback = document.get("fallback", {})
        return cls(float(target), float(activation), document.get("pollingInterval", 30), document.get("cooldownPeriod", 300),
                   document.get("minReplicaCount", 0), document.get("maxReplicaCount", 100),
                   fallback.get("failureThreshold", 0), fallback.get("replicas", 0), fallback.get("behavior", "static"),
                   Rules.of(behavior.get("scaleUp"), DEFAULT_UP), Rules.of(behavior.get("scaleDown"), DEFAULT_DOWN))

    def faster(self, factor):
        """The same in less time."""
        return replace(self, polling_s=self.polling_s / factor, cooldown_s=self.cooldown_s / factor,
                       sync_s=self.sync_s / factor, up=self.up.faster(factor), down=self.down.faster(factor))


class Autoscaler:
    def __init__(self, spec):
        self.spec = spec
        self._active_at = None
        self._polled_at = None
        self._synced_at = None
        self._failures = 0
        self._wanted = []  # (time, replicas), of the HPA
        self._changes = []  # (time, replicas more), of the HPA

    def step(self, now, metric, replicas):
        """How many there are to be now. metric: None when it could not be had."""
        self._failures = self._failures + 1 if metric is None else 0
        wanted = replicas
        if self._polled_at is None or now - self._polled_at >= self.spec.polling_s:
            self._polled_at = now
            wanted = self._keda(now, metric, replicas)
        if wanted == replicas and replicas > 0 and (self._synced_at is None or now - self._synced_at >= self.spec.sync_s):
            self._synced_at = now
            wanted = self._hpa(now, self._metric_or_fallback(metric, replicas), replicas)
        return wanted

    def _metric_or_fallback(self, metric, replicas):
        if metric is None and 0 < self.spec.failures <= self._failures:
            kept = {"static": self.spec.fallback, "currentReplicas": replicas,
                    "currentReplicasIfHigher": max(replicas, self.spec.fallback),
                    "currentReplicasIfLower": min(replicas, self.spec.fallback)}[self.spec.fallback_behavior]
            return kept * self.spec.target
        return metric

    def _keda(self, now, metric, replicas):
        known = self._metric_or_fallback(metric, replicas)
        is_active = known is not None and known > self.spec.activation
        if is_active or known is None:
            self._active_at = now if is_active else self._active_at
            return max(self.spec.least, 1) if is_active and replicas == 0 else replicas
        is_cool = self._active_at is None or now - self._active_at > self.spec.cooldown_s
        return 0 if replicas > 0 and self.spec.least == 0 and is_cool else replicas

    def _hpa(self, now, metric, replicas):
        if metric is None:
            return replicas
        wanted = math.ceil(metric / self.spec.target)
        if abs(metric / (self.spec.target * replicas) - 1) <= TOLERANCE:
            wanted = replicas
        wanted = self._stable(now, wanted, replicas)
        if wanted > replicas:
            wanted = min(wanted, self._bound(now, replicas, self.spec.up, 1))
        elif wanted < replicas:
            wanted = max(wanted, self._bound(now, replicas, self.spec.down, -1))
        wanted = min(max(wanted, self.spec.least, 1), self.spec.most)
        if wanted != replicas:
            self._changes.append((now, wanted - replicas))
        return wanted

    def _stable(self, now, wanted, replicas):
        longest = max(self.spec.up.window_s, self.spec.down.window_s)
        self._wanted = [w for w in self._wanted if now - w[0] <= longest] + [(now, wanted)]
        lowest = min(n for at, n in self._wanted if now - at <= self.spec.up.window_s)
        highest = max(n for at, n in self._wanted if now - at <= self.spec.down.window_s)
        return lowest if replicas < lowest else highest if replicas > highest else replicas

    def _bound(self, now, replicas, rules, sign):
        """As far as the policies let it go in this step."""
        if rules.select == "Disabled":
            return replicas
        bounds = []
        for kind, value, period in rules.policies:
            recent = sum(change for at, change in self._changes if now - at <= period and change * sign > 0)
            begun = replicas - recent  # at the period's begin
            if kind == "Pods":
                bounds.append(begun + sign * value)
            else:
                part = begun * (1 + sign * value / 100)
                bounds.append(math.ceil(part) if sign > 0 else math.floor(part))
        furthest = max if (rules.select == "Max") == (sign > 0) else min
        bound = furthest(bounds)
        return max(bound, replicas) if sign > 0 else min(bound, replicas)
