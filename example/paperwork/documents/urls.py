"""The documents' addresses."""

from django.urls import path

from paperwork.documents import views

app_name = "documents"
urlpatterns = [
    path("", views.front_page, name="front_page"),
    path("documents/<uuid:pk>/", views.document_page, name="document"),
    path("documents/<uuid:pk>/progress/", views.progress, name="progress"),
    path("documents/<uuid:pk>/result/", views.result, name="result"),
    path("documents/<uuid:pk>/again/", views.again, name="again"),
]
