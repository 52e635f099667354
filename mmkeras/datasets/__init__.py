"""Public data sets, laid out on disk the way users have their own: tables, and files beside them."""

from mmkeras._public import expose
from mmkeras.datasets.easy_vqa import easy_vqa as easy_vqa
from mmkeras.datasets.posts import posts as posts
from mmkeras.datasets.speech import speak as speak
from mmkeras.datasets.spoken_digits import spoken_digits as spoken_digits
from mmkeras.datasets.things import things as things

__all__, __dir__ = expose(globals())
