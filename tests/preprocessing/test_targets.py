import pytest

from mmkeras.preprocessing import learn_classes

pytestmark = pytest.mark.compat


def test_one_class_is_too_few():
    with pytest.raises(ValueError, match=r"at least two classes. Received: classes=\['yes'\]"):
        learn_classes(["yes", "", "yes"])
